package client

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// A buffered connection takes what is written into a buffer of some bytes, as
// the kernel does, which is lost when the connection is closed.
type buffered struct {
	net.Conn
	mu      sync.Mutex
	changed sync.Cond
	size    int
	waiting []byte
	closed  bool
}

func newBuffered(conn net.Conn, size int) *buffered {
	b := &buffered{Conn: conn, size: size}
	b.changed.L = &b.mu
	go b.pass()
	return b
}

func (b *buffered) Write(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n < len(p) {
		for len(b.waiting) == b.size && !b.closed {
			b.changed.Wait()
		}
		if b.closed {
			return n, net.ErrClosed
		}
		part := min(len(p)-n, b.size-len(b.waiting))
		b.waiting = append(b.waiting, p[n:n+part]...)
		n += part
		b.changed.Broadcast()
	}
	return n, nil
}

func (b *buffered) pass() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		for len(b.waiting) == 0 && !b.closed {
			b.changed.Wait()
		}
		if b.closed {
			return
		}
		part := append([]byte(nil), b.waiting[:min(len(b.waiting), 4096)]...)
		b.mu.Unlock()
		n, _ := b.Conn.Write(part)
		b.mu.Lock()
		b.waiting = b.waiting[n:]
		b.changed.Broadcast()
	}
}

func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

func (b *buffered) Close() error {
	b.mu.Lock()
	b.closed = true
	b.changed.Broadcast()
	b.mu.Unlock()
	return b.Conn.Close()
}

// connectBuffered connects with a kernel between.
func connectBuffered(t *testing.T, m *memory, size int, o Options) *Conn {
	t.Helper()
	o.Dialer = &websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := m.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newBuffered(conn, size), nil
	}}
	c, _, err := Connect(t.Context(), anywhere, nil, o)
	require.NoError(t, err)
	return c
}

// A server that is slow gets all that was written, however long that takes.
func TestCloseWaitsForASlowServerThatTakesSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, size = 40, 100_000
		got := make(chan int, 1)
		m, stop := serveInMemory(upgraded(func(ws *websocket.Conn) {
			count := 0
			for ; ; count++ {
				time.Sleep(time.Second)
				if _, _, err := ws.ReadMessage(); err != nil {
					break
				}
			}
			got <- count
		}))
		defer stop()
		c := connectBuffered(t, m, 4<<20, Options{CloseTimeout: 5 * time.Second})
		for range n {
			require.NoError(t, c.Write(websocket.BinaryMessage, make([]byte, size)))
		}
		begun := time.Now()
		require.NoError(t, c.Close())
		require.Greater(t, time.Since(begun), 30*time.Second)
		require.Equal(t, n, <-got)
		require.NoError(t, c.Close(), "again")
	})
}

// A server that takes nothing more is left, and Close says how much that may
// cost; so it does if the server ends the connection by itself.
func TestCloseSaysHowManyMessagesMayBeLost(t *testing.T) {
	const n, size = 40, 100_000
	for name, serve := range map[string]func(ws *websocket.Conn, read int){
		"it stops": func(ws *websocket.Conn, read int) {
			for range read {
				_, _, _ = ws.ReadMessage()
			}
			time.Sleep(time.Minute)
		},
		"it ends": func(ws *websocket.Conn, read int) {
			for range read {
				_, _, _ = ws.ReadMessage()
			}
			time.Sleep(time.Second)
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseServiceRestart, ""), time.Time{})
			readAll(ws)
		},
		"it is gone": func(ws *websocket.Conn, read int) {
			for range read {
				_, _, _ = ws.ReadMessage()
			}
			time.Sleep(time.Second)
		},
	} {
		for _, read := range []int{0, 17} {
			t.Run(fmt.Sprint(name, read), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m, stop := serveInMemory(upgraded(func(ws *websocket.Conn) { serve(ws, read) }))
					defer stop()
					c := connectBuffered(t, m, 8<<20, Options{CloseTimeout: 5 * time.Second, NoReconnect: true})
					for range n {
						require.NoError(t, c.Write(websocket.BinaryMessage, make([]byte, size)))
					}
					begun := time.Now()
					var lost *UnconfirmedError
					require.ErrorAs(t, c.Close(), &lost)
					require.LessOrEqual(t, time.Since(begun), 5*time.Second)
					require.GreaterOrEqual(t, lost.Messages, n-read)
					require.LessOrEqual(t, lost.Messages, n-read+pingStep/size+2)
				})
			})
		}
	}
}

// What a server has confirmed is not lost with the connection.
func TestPingsConfirmWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := serveInMemory(upgraded(func(ws *websocket.Conn) {
			timer := time.AfterFunc(10*time.Second, func() { _ = ws.Close() })
			defer timer.Stop()
			readAll(ws)
		}))
		defer stop()
		c := connectBuffered(t, m, 4<<20, Options{ReadTimeout: 2 * time.Second, NoReconnect: true})
		require.NoError(t, c.Write(websocket.TextMessage, []byte("x")))
		<-c.Done()
		require.ErrorContains(t, c.Error(), "connection lost")
		require.NoError(t, c.Close())
	})
}
