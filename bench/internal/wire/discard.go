package wire

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// discard starts clients that do not look at what they get, and waits until
// the server is ready for them.
func discard(s Server, n int) (*party, error) {
	url, hello := s.Address()
	clients, err := startParty("discard", strconv.Itoa(n), url, hello)
	if err != nil {
		return nil, err
	}
	if err := await(s.Ready); err != nil {
		clients.stop()
		return nil, fmt.Errorf("%w: the clients do not come", err)
	}
	return clients, nil
}

func discardClients(in *bufio.Scanner, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		ws, err := greet(args[1], strings.ReplaceAll(args[2], "%d", strconv.Itoa(i)))
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(io.Discard, ws.NetConn()) }()
	}
	in.Scan() // until the parent closes it
	return nil
}

// dialer spares the clients' processor time, which is the machine's too.
var dialer = websocket.Dialer{HandshakeTimeout: time.Minute, ReadBufferSize: 1024, WriteBufferPool: &sync.Pool{}}

// greet connects and says hello.
func greet(url, hello string) (*websocket.Conn, error) {
	ws, _, err := dialer.Dial(url, nil)
	if err != nil {
		return nil, err
	}
	return ws, ws.WriteMessage(websocket.TextMessage, []byte(hello))
}
