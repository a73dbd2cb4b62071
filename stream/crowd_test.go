package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/history"
)

// crowdSize is how many clients come back at once. Connections are in memory,
// because 20,000 ends are more than a process may open files; what sockets
// cost besides is in bench/.
func crowdSize() int {
	if testing.Short() || raceEnabled {
		return 1000
	}
	return 10_000
}

// crowdLimit is how long all of them may take, from the cut on: of processor
// time, which other programs do not lengthen, for all ends together. What is
// waited for with idle processors is bounded by crowdPatience.
const (
	crowdLimit    = 5 * time.Second
	crowdPatience = 2 * time.Minute
)

// A crowd is many clients with one subscription each.
type crowd struct {
	t     *testing.T
	rig   *rig
	pipes *pipes
	last  []string // cursor of each
}

func newCrowd(t *testing.T, n int) *crowd {
	c := &crowd{t: t, last: make([]string, n)}
	before := runtime.NumGoroutine()
	t.Cleanup(func() { // after all others: the next test begins in quiet
		eventually(t, func() bool { return runtime.NumGoroutine() <= before+5 }, "no goroutine is left")
	})
	c.serve()
	return c
}

// serve starts a server, with a bus and a history of its own.
func (c *crowd) serve() {
	n := len(c.last)
	c.rig = newRig(c.t, Config{MaxConnections: 2 * n, MaxClients: 2 * n, PingInterval: crowdPatience / 2, ReadTimeout: crowdPatience, WriteTimeout: crowdPatience})
	c.pipes = newPipes()
	pipes, server := c.pipes, c.rig.server
	go func() { _ = http.Serve(pipes, server) }()
	c.t.Cleanup(func() { _ = pipes.Close() })
	c.rig.dialRaw = pipes.dial
}

// come has all clients dial, subscribe after the last cursor that they have,
// and receive. It returns how long that took.
func (c *crowd) come(receive func(p *raw) (cursor string, err error)) time.Duration {
	peers := make([]*raw, len(c.last))
	begun := time.Now()
	c.each(func(i int) error {
		peers[i] = c.rig.raw("/websocket")
		if err := peers[i].conn.SetReadDeadline(begun.Add(crowdPatience)); err != nil {
			return err
		}
		_, err := peers[i].conn.Write(masked(0x81, []byte(`{"id":1,"method":"subscribe","params":{"query":"n EXISTS","after":"`+c.last[i]+`"}}`)))
		return err
	})
	c.each(func(i int) (err error) {
		peers[i].next() // the answer
		c.last[i], err = receive(peers[i])
		return err
	})
	return time.Since(begun)
}

// each calls f for all clients, for eight at a time.
func (c *crowd) each(f func(i int) error) {
	const workers = 8
	errs := make(chan error, workers)
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for i := worker; i < len(c.last); i += workers {
				if err := f(i); err != nil {
					errs <- fmt.Errorf("client %d: %w", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(c.t, err)
	}
}

// cut ends all connections without a word.
func (c *crowd) cut() {
	all, _ := c.rig.server.connections()
	for _, conn := range all {
		conn.kill()
	}
}

// stop ends the server as a process ends that is killed.
func (c *crowd) stop() {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.rig.server.Shutdown(gone)
	_ = c.pipes.Close()
}

// numbers returns a receive that wants the numbers from first to before last,
// and nothing else.
func numbers(first, last int) func(p *raw) (string, error) {
	return func(p *raw) (cursor string, err error) {
		for want := first; want < last; want++ {
			r, err := p.result()
			if err != nil || r.Gap != nil || string(r.Data.Value) != fmt.Sprint(want) {
				return "", fmt.Errorf("%v: %+v instead of %d", err, r, want)
			}
			cursor = r.Cursor
		}
		return cursor, nil
	}
}

// A rawResult is what the crowd looks at in a result.
type rawResult struct {
	Cursor string
	Data   Data
	Gap    *history.Gap
}

// result reads the next result.
func (r *raw) result() (rawResult, error) {
	var response struct{ Result rawResult }
	err := json.Unmarshal([]byte(r.next().payload), &response)
	return response.Result, err
}

// begin has all clients receive the number 0.
func (c *crowd) begin() {
	c.rig.publishNumbers(0, 1)
	for i := range c.last {
		c.last[i] = c.rig.server.config.History.Cursor(0).String()
	}
	c.come(numbers(0, 1))
}

// hold wants a storm to take little.
func (c *crowd) hold(storm func() time.Duration) {
	before := processorTime(c.t)
	took := storm()
	used := processorTime(c.t) - before
	c.t.Logf("%d clients were served in %v, %v of processor time", len(c.last), took, used)
	require.Less(c.t, used, crowdLimit)
}

// processorTime returns what this process has used.
func processorTime(t *testing.T) time.Duration {
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// 10,000 clients that are cut at once dial again and get exactly what they
// missed.
func TestManyClientsResume(t *testing.T) {
	c := newCrowd(t, crowdSize())
	c.begin()
	n := 1
	c.hold(func() time.Duration {
		c.cut()
		first := n
		n += 5
		c.rig.publishNumbers(first, n)
		return c.come(numbers(first, n))
	})
}

// 10,000 clients whose server is started anew are told so, and get what the
// new one has.
func TestManyClientsAreToldOfARestart(t *testing.T) {
	c := newCrowd(t, crowdSize())
	c.begin()
	c.hold(func() time.Duration {
		c.stop()
		old := c.last[0]
		c.serve()
		c.rig.publishNumbers(1, 3)
		rest := numbers(1, 3)
		return c.come(func(p *raw) (string, error) {
			r, err := p.result()
			if err != nil || r.Gap == nil || r.Gap.Reason != history.EpochChanged || r.Gap.From.String() <= old {
				return "", fmt.Errorf("%v: %+v instead of a gap", err, r)
			}
			return rest(p)
		})
	})
}

// pipes is a listener whose connections are in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial() (net.Conn, error) {
	server, client := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
