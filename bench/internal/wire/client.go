package wire

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// Clients opens connections, says hello on each, and reads until they end.
func Clients(n int, url, hello string) error {
	var readers sync.WaitGroup
	for i := range n {
		ws, _, err := websocket.DefaultDialer.Dial(url, http.Header{"Sec-WebSocket-Protocol": nil})
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(hello, "%d", fmt.Sprint(i))
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			return err
		}
		readers.Go(func() { _, _ = io.Copy(io.Discard, ws.NetConn()) }) // what it says is not looked at
	}
	readers.Wait()
	return nil
}
