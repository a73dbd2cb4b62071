package wire

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

// Gorilla is the way of gorilla's own chat example without its coalescing: a
// channel and a goroutine for each connection, and WriteMessage for each
// message. What it writes is encoded once, and nothing is matched.
var Gorilla = Contender{"plain gorilla", func(n int) (Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gorilla{n: n, address: listener.Addr().String()}
	g.web = &http.Server{Handler: http.HandlerFunc(g.serve)}
	go func() { _ = g.web.Serve(listener) }()
	return g, nil
}}

type gorilla struct {
	web       *http.Server
	address   string
	n         int
	delivered atomic.Uint64

	mu       sync.Mutex
	channels []chan []byte
}

func (g *gorilla) serve(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	if _, _, err := ws.ReadMessage(); err != nil {
		return
	}
	messages := make(chan []byte, 1000)
	g.mu.Lock()
	g.channels = append(g.channels, messages)
	g.mu.Unlock()
	for m := range messages {
		if ws.WriteMessage(websocket.TextMessage, m) != nil {
			return
		}
		g.delivered.Add(1)
	}
}

func (g *gorilla) Address() (url, hello string) { return "ws://" + g.address + "/", "hello" }

func (g *gorilla) Ready() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.channels) == g.n
}

func (g *gorilla) Publish(int) error {
	m, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "result": map[string]any{"query": oneQuery, "data": data, "events": events}})
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.channels {
		c <- m
	}
	return nil
}

func (g *gorilla) Delivered() uint64 { return g.delivered.Load() }

func (g *gorilla) Stop() {
	_ = g.web.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.channels {
		close(c)
	}
}
