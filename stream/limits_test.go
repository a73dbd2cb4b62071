package stream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
)

// The limits of docs/stream.md, each reached by whoever shares it, refused, told
// of, counted, and back at nothing when all have left.

// named identifies a request by a header.
func named(r *http.Request) (Identity, error) { return Identity{Name: r.Header.Get("X-Name")}, nil }

// plainConn opens a network connection with a small buffer in the kernel.
func (r *rig) plainConn() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.http.Listener.Addr().String())
	require.NoError(r.t, err)
	require.NoError(r.t, conn.(*net.TCPConn).SetReadBuffer(4096))
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

func postOf(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Name: ann\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func (r *rig) held(name string) (n int64) {
	r.server.quotas.each(func(other string, q *quota) {
		if other == name {
			n = q.held()
		}
	})
	return n
}

// nothingIsHeld waits until all have left.
func (r *rig) nothingIsHeld() {
	r.t.Helper()
	r.server.quotas.each(func(name string, q *quota) {
		eventually(r.t, func() bool { return q.held() == 0 && len(q.ips) == 0 && len(q.identities) == 0 }, name)
	})
}

// fillWindow publishes n events of 900 kB.
func (r *rig) fillWindow(n int) {
	data := strings.Repeat("x", 900_000)
	for range n {
		r.publish(data, map[string][]string{"a": {"1"}})
	}
}

// An answer that nobody reads ends with its connection, whatever it was asked
// over.
func TestAnswersThatNobodyReadsAreCut(t *testing.T) {
	const pull = `{"id":1,"method":"events","params":{}}`
	for name, ask := range map[string]func(r *rig){
		"POST": func(r *rig) {
			_, err := io.WriteString(r.plainConn(), strings.Repeat(postOf("/", pull), 20)) // more than the kernel takes
			require.NoError(r.t, err)
		},
		"WebSocket": func(r *rig) {
			p := r.dialSmall("/websocket", nil)
			go func() {
				for p.ws.WriteMessage(websocket.TextMessage, []byte(pull)) == nil {
					time.Sleep(time.Millisecond) // not to be refused for impatience alone
				}
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{WriteTimeout: 200 * time.Millisecond, CloseTimeout: 100 * time.Millisecond, MaxAnswer: 2 << 20})
			r.fillWindow(5)
			for range 3 {
				ask(r)
			}
			eventually(t, func() bool { return r.server.Stats().Stalls == 3 }, "they are cut")
			r.nothingIsHeld()
		})
	}
}

// What is kept of answers is bounded for all together, and who gets none is
// told.
func TestAnswersAreBoundedForAllTogether(t *testing.T) {
	r := newRig(t, Config{MaxAnswer: 2 << 20, AnswerBytes: 4 << 20, AnswerBytesPerIP: 3 << 20})
	r.fillWindow(5)
	const pull = `{"id":1,"method":"events","params":{}}`
	for range 3 {
		_, err := io.WriteString(r.plainConn(), strings.Repeat(postOf("/", pull), 20))
		require.NoError(t, err)
	}
	eventually(t, func() bool { return r.held("answer_bytes") > 2<<20 }, "two are not read")
	_, body := r.post("/", "application/json", pull)
	require.Contains(t, body, `"data":"too many bytes being answered from your address"`)
	require.LessOrEqual(t, r.held("answer_bytes"), int64(3<<20))
	r.http.CloseClientConnections()
	r.nothingIsHeld()
}

// A pull is an answer of bounded size; more says that there is more, and it can
// be asked for.
func TestAPullIsBoundedByBytes(t *testing.T) {
	r := newRig(t, Config{MaxAnswer: 2 << 20})
	r.fillWindow(5)
	p := r.dial()
	before, pages := "", []int{}
	for more := true; more; {
		page := p.pull(`{"before_item":"` + before + `"}`)
		before, more = page.Items[len(page.Items)-1].Cursor, page.More
		pages = append(pages, len(page.Items))
	}
	require.Equal(t, []int{2, 2, 1}, pages)
	pull := `{"id":1,"method":"events","params":{}}`
	status, body := r.post("/", "application/json", "["+pull+","+pull+","+pull+"]")
	require.Equal(t, 200, status)
	require.Less(t, len(body), 3<<20, "a batch is one answer")
	require.Contains(t, body, "the answer is full")
	small := newRig(t, Config{MaxAnswer: 1})
	small.fillWindow(2)
	require.Len(t, small.dial().pull(`{}`).Items, 1, "one item fits always")
	p.ws.Close()
	http.DefaultClient.CloseIdleConnections()
	r.nothingIsHeld()
}

// A scenario fills a limit with n of something and asks for one more.
type scenario struct {
	limit  string
	total  func(c *Config)
	own    func(c *Config) // per address
	mine   func(c *Config) // per identity; nil: there is none
	occupy func(r *rig)    // takes one
	more   func(r *rig) (status int, text string)
}

func scenarios() []scenario {
	ask := func(body string) func(r *rig) (int, string) {
		return func(r *rig) (int, string) {
			request, err := http.NewRequest(http.MethodPost, r.http.URL+"/", strings.NewReader(body))
			require.NoError(r.t, err)
			request.Header.Set("X-Name", "ann")
			response, err := http.DefaultClient.Do(request)
			require.NoError(r.t, err)
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			return response.StatusCode, string(text)
		}
	}
	half := strings.Repeat(" ", 20_000)
	const wait = `{"id":1,"method":"events","params":{"filter":{"query":"never=1"},"wait_time":60000000000}}`
	return []scenario{{
		limit:  "requests",
		total:  func(c *Config) { c.MaxRequests = 2 },
		own:    func(c *Config) { c.MaxRequestsPerIP = 2 },
		mine:   func(c *Config) { c.MaxRequestsPerIdentity = 2 },
		occupy: func(r *rig) { _, _ = io.WriteString(r.plainConn(), postOf("/", half)[:200]) },
		more:   ask(`{"id":1,"method":"health"}`),
	}, {
		limit:  "pulls",
		total:  func(c *Config) { c.MaxPulls = 2 },
		own:    func(c *Config) { c.MaxPullsPerIP = 2 },
		mine:   func(c *Config) { c.MaxPullsPerIdentity = 2 },
		occupy: func(r *rig) { _, _ = io.WriteString(r.plainConn(), postOf("/", wait)) },
		more:   ask(wait),
	}, {
		limit:  "connections",
		total:  func(c *Config) { c.MaxConnections = 2 },
		own:    func(c *Config) { c.MaxConnectionsPerIP = 2 },
		mine:   func(c *Config) { c.MaxConnectionsPerIdentity = 2 },
		occupy: func(r *rig) { r.dialSmall("/websocket", http.Header{"X-Name": {"ann"}}) },
		more: func(r *rig) (int, string) {
			_, response, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{"X-Name": {"ann"}})
			require.ErrorIs(r.t, err, websocket.ErrBadHandshake)
			text, _ := io.ReadAll(response.Body)
			return response.StatusCode, string(text)
		},
	}, {
		limit:  "input_bytes",
		total:  func(c *Config) { c.InputBytes = 80_000 },
		own:    func(c *Config) { c.InputBytesPerIP = 80_000 },
		mine:   func(c *Config) { c.InputBytesPerIdentity = 80_000 },
		occupy: func(r *rig) { _, _ = io.WriteString(r.plainConn(), strings.TrimSuffix(postOf("/", half), " ")) },
		more:   ask(half),
	}}
}

func TestEveryLimitIsKept(t *testing.T) {
	for _, s := range scenarios() {
		for who, c := range map[string]struct {
			set    func(c *Config)
			status int
			says   string
		}{
			"in total":     {s.total, http.StatusServiceUnavailable, "too many "},
			"per address":  {s.own, http.StatusTooManyRequests, " from your address"},
			"per identity": {s.mine, http.StatusTooManyRequests, " of yours"},
		} {
			t.Run(s.limit+" "+who, func(t *testing.T) {
				config := Config{Identify: named}
				c.set(&config)
				r := newRig(t, config)
				s.occupy(r)
				eventually(t, func() bool { return r.held(s.limit) > 0 }, "the first is in")
				first := r.held(s.limit)
				s.occupy(r)
				eventually(t, func() bool { return r.held(s.limit) == 2*first }, "the second is in")
				status, text := s.more(r)
				if s.limit == "pulls" { // answered within JSON-RPC
					require.Equal(t, http.StatusOK, status)
					require.Contains(t, text, `"code":-32000`)
				} else {
					require.Equal(t, c.status, status, text)
				}
				require.Contains(t, text, c.says)
				require.Equal(t, 2*first, r.held(s.limit), "the third has taken nothing")
				refused := uint64(0)
				for _, line := range r.server.Stats().Limits {
					if line.Name == s.limit {
						refused = line.RefusedTotal + line.RefusedAddress + line.RefusedIdentity
					}
				}
				require.EqualValues(t, 1, refused)
				r.http.CloseClientConnections()
				http.DefaultClient.CloseIdleConnections()
				all, _ := r.server.connections()
				for _, conn := range all {
					conn.kill()
				}
				r.nothingIsHeld()
			})
		}
	}
}

// Small requests are let in while others hold all the bytes there are.
func TestSmallMessagesPassWhileLargeOnesFillTheLimit(t *testing.T) {
	r := newRig(t, Config{InputBytes: 40_000})
	holder := r.raw("/websocket")
	_, err := holder.conn.Write(masked(0x01, make([]byte, 20_000)))
	require.NoError(t, err)
	eventually(t, func() bool { return r.held("input_bytes") > 0 }, "it holds")
	large := r.raw("/websocket")
	_, err = large.conn.Write(masked(0x81, []byte(strings.Repeat(" ", 30_000))))
	require.NoError(t, err)
	f := large.next()
	require.Equal(t, byte(opClose), f.opcode)
	require.Equal(t, closePayload(closeTryAgainLater, "too many bytes being sent"), []byte(f.payload))
	r.dial().subscribe("1", "a=1")
}

// A network connection that says nothing makes room for one that does.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	r := newRig(t, Config{MaxOpen: 3})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	web := r.server.HTTPServer(nil)
	go func() { _ = web.Serve(listener) }()
	defer web.Close()
	dial := func(request string) *bufio.Reader {
		conn, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		return bufio.NewReader(conn)
	}
	const live = "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	answered := func(in *bufio.Reader) error {
		response, err := http.ReadResponse(in, nil)
		if err == nil {
			_, err = io.ReadAll(response.Body)
		}
		return err
	}
	var idle []*bufio.Reader
	for range 3 {
		in := dial(live)
		require.NoError(t, answered(in))
		idle = append(idle, in)
	}
	time.Sleep(newcomer + 50*time.Millisecond) // the limit is on real connections, so the clock is real
	require.NoError(t, answered(dial(live)), "it is let in")
	gone := make(chan error, len(idle))
	for _, in := range idle {
		go func() {
			_, err := in.ReadByte()
			gone <- err
		}()
	}
	require.ErrorIs(t, <-gone, io.EOF, "one that was idle has gone")
	require.LessOrEqual(t, r.held("open"), int64(3))
	for range 6 {
		dial("GET /livez HTTP/1.1\r\nHo") // which is active as long as its header may take
	}
	require.Error(t, answered(dial(live)), "nobody makes room")
	require.NotZero(t, r.server.Stats().Limits[0].RefusedTotal)
}

const waitingPull = `{"id":1,"method":"events","params":{"filter":{"query":"never=1"},"wait_time":60000000000}}`

// waitingPost asks over POST for what never comes.
func (r *rig) waitingPost(header http.Header) <-chan string {
	answer := make(chan string, 1)
	request, err := http.NewRequest(http.MethodPost, r.http.URL+"/", strings.NewReader(waitingPull))
	require.NoError(r.t, err)
	request.Header = header
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		answer <- string(text)
	}()
	eventually(r.t, func() bool { return r.held("pulls") == 1 }, "it waits")
	return answer
}

func (p *peer) waitingPull(r *rig) {
	p.t.Helper()
	p.send(waitingPull)
	eventually(p.t, func() bool { return r.held("pulls") == 1 }, "it waits")
}

func TestAWaitingPullEndsWithTheDrain(t *testing.T) {
	t.Run("WebSocket", func(t *testing.T) {
		r := newRig(t, Config{MaxWait: time.Hour})
		p := r.dial()
		p.waitingPull(r)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		drained := make(chan error)
		go func() { drained <- r.server.Shutdown(ctx) }()
		code, _, messages := p.closed()
		require.Equal(t, websocket.CloseServiceRestart, code)
		require.Contains(t, strings.Join(messages, ""), `"id":1,"result":{"items":[]`, "it is answered")
		require.NoError(t, <-drained)
	})
	t.Run("POST", func(t *testing.T) {
		r := newRig(t, Config{MaxWait: time.Hour})
		answer := r.waitingPost(nil)
		require.NoError(t, r.server.Shutdown(t.Context()))
		require.Contains(t, <-answer, `"result":{"items":[]`)
	})
}

func TestAWaitingPullEndsWithItsPeer(t *testing.T) {
	t.Run("WebSocket", func(t *testing.T) {
		r := newRig(t, Config{MaxWait: time.Hour})
		p := r.dial()
		p.waitingPull(r)
		require.NoError(t, p.ws.UnderlyingConn().(*net.TCPConn).SetLinger(0))
		p.ws.Close()
		r.nothingIsHeld()
	})
	t.Run("POST", func(t *testing.T) {
		r := newRig(t, Config{MaxWait: time.Hour})
		conn := r.plainConn()
		_, err := io.WriteString(conn, postOf("/", waitingPull))
		require.NoError(t, err)
		eventually(t, func() bool { return r.held("pulls") == 1 }, "it waits")
		conn.Close()
		r.nothingIsHeld()
	})
}

func TestAWaitingPullEndsWithItsToken(t *testing.T) {
	expiring := func(*http.Request) (Identity, error) {
		return Identity{Name: "ann", Expires: time.Now().Add(300 * time.Millisecond)}, nil
	}
	t.Run("WebSocket", func(t *testing.T) {
		r := newRig(t, Config{MaxWait: time.Hour, Identify: expiring})
		p := r.dial()
		p.waitingPull(r)
		code, reason, messages := p.closed()
		require.Equal(t, websocket.ClosePolicyViolation, code)
		require.Equal(t, "the token has expired", reason)
		require.Contains(t, strings.Join(messages, ""), `"id":1,"error":{"code":-32000,"message":"Server error","data":"the token has expired"}`)
	})
	t.Run("POST", func(t *testing.T) {
		r := newRig(t, Config{MaxWait: time.Hour, Identify: expiring})
		require.Contains(t, <-r.waitingPost(nil), `"data":"the token has expired"`)
	})
}

// While a pull waits, the connection is there for everything else.
func TestAWaitingPullHoldsNothingUp(t *testing.T) {
	r := newRig(t, Config{MaxWait: time.Hour, MaxSubscriptions: 2})
	p := r.dial()
	p.waitingPull(r)
	pong := make(chan struct{})
	p.ws.SetPongHandler(func(string) error {
		close(pong)
		return nil
	})
	require.NoError(t, p.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)))
	require.Contains(t, p.call(`{"id":2,"method":"health"}`), `"id":2,"result"`)
	<-pong
	p.send(strings.Replace(waitingPull, `"id":1`, `"id":3`, 1))
	require.Contains(t, p.call(strings.Replace(waitingPull, `"id":1`, `"id":4`, 1)), `"id":4,"error":{"code":-32603,"message":"Internal error","data":"max_subscriptions_per_client 2 reached"}`)
	r.publish(1, map[string][]string{"never": {"1"}})
	answers := p.receive() + p.receive()
	require.Contains(t, answers, `"id":1,"result":{"items":[{`)
	require.Contains(t, answers, `"id":3,"result":{"items":[{`)
}

// A body that does not come is not waited for.
func TestABodyThatDoesNotComeIsCut(t *testing.T) {
	for _, kind := range []string{"application/json", "application/x-ndjson"} {
		r := newRig(t, Config{ReadTimeout: 100 * time.Millisecond})
		conn := r.plainConn()
		_, err := fmt.Fprintf(conn, "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n{", kind)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestTimeout, response.StatusCode, kind)
		r.nothingIsHeld()
	}
}

// An answer leaves no deadline to the next request of its connection.
func TestAnAnswerLeavesNoDeadlineBehind(t *testing.T) {
	r := newRig(t, Config{WriteTimeout: 50 * time.Millisecond})
	late := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/late" {
			r.server.ServeHTTP(w, q)
			return
		}
		time.Sleep(100 * time.Millisecond) // longer than the other handler's deadline, on the network's clock
		_, _ = io.WriteString(w, "late")
	})
	web := httptest.NewServer(late)
	defer web.Close()
	for _, path := range []string{"/status", "/late", "/livez", "/late"} {
		response, err := web.Client().Get(web.URL + path)
		require.NoError(t, err, path)
		_, err = io.ReadAll(response.Body)
		require.NoError(t, err, path)
		response.Body.Close()
	}
}

// Addresses of one subscriber of a provider count together.
func TestAnIPv6NetworkCountsAsOneAddress(t *testing.T) {
	q := newQuota("things", 0, 1, 0)
	h, refused := q.hold("2001:db8:1:2::1", "", 1)
	require.Nil(t, refused)
	_, refused = q.hold("2001:db8:1:2:ffff::9", "", 1)
	require.NotNil(t, refused)
	_, refused = q.hold("2001:db8:1:3::1", "", 1)
	require.Nil(t, refused)
	h.release()
	h.release()
	_, refused = q.hold("2001:db8:1:2::2", "", 1)
	require.Nil(t, refused)
	require.Equal(t, "10.0.0.1", networkOf("::ffff:10.0.0.1"))
	require.EqualValues(t, 2, q.held())
}

// Once it is known whose a request is, it counts for that identity, too.
func TestAHoldIsNamedOnceItsIdentityIsKnown(t *testing.T) {
	q := newQuota("things", 0, 0, 1)
	first, refused := q.hold("a", "", 1)
	require.Nil(t, refused)
	require.Nil(t, first.name("ann"))
	second, refused := q.hold("a", "", 1)
	require.Nil(t, refused)
	require.NotNil(t, second.name("ann"))
	require.Nil(t, second.name("bob"))
	first.release()
	second.release()
	require.Empty(t, q.identities)
	require.Empty(t, q.ips)
}

// A cursor that was just given is taken, though the publication may still be
// queued; one that was never given is not.
func TestACursorThatWasJustGivenIsTaken(t *testing.T) {
	r := newRig(t, Config{}, pubsub.BufferCapacity(1))
	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	defer open()
	r.bus.Observe(func(pubsub.Message) { <-release })
	go r.publishNumbers(0, 1) // it is dispatched until release
	eventually(t, func() bool { return r.bus.Sequence() == 1 }, "it is being dispatched")
	r.publishNumbers(1, 2) // and this one is queued
	given := r.server.config.History.Cursor(2)
	p := r.dial()
	require.Contains(t, p.call(`{"id":1,"method":"subscribe","params":{"query":"n EXISTS","after":"`+given.String()+`"}}`), `"result":{"cursor":"`)
	open()
	r.publishNumbers(2, 3)
	first := p.receive()
	require.NotContains(t, first, "gap")
	require.Contains(t, first, `"value":2`)
	future := r.server.config.History.Cursor(99)
	require.Contains(t, p.call(`{"id":3,"method":"subscribe","params":{"query":"n=2","after":"`+future.String()+`"}}`), "beyond the newest")
}

// A pull with the cursor of another server gets all there is, with the gap.
func TestAPullWithTheCursorOfAnotherServerGetsAllWithAGap(t *testing.T) {
	r := newRig(t, Config{})
	r.publishNumbers(0, 3)
	for _, epoch := range []uint64{1, ^uint64(0)} {
		answer := r.dial().pull(`{"after_item":"` + history.Cursor{Epoch: epoch, Major: 7}.String() + `"}`)
		require.NotNil(t, answer.Gap)
		require.Equal(t, history.EpochChanged, answer.Gap.Reason)
		require.Len(t, answer.Items, 3)
		require.Equal(t, r.server.config.History.Cursor(3).String(), answer.Newest)
	}
	empty := newRig(t, Config{}).dial().pull(`{}`)
	_, err := history.ParseCursor(empty.Newest)
	require.NoError(t, err, "there is a place to go on from")
}
