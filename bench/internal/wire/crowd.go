package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/stream"
)

// A Crowd is many clients of one server, with one subscription each, in a
// process of their own.
type Crowd struct {
	n       int
	hark    *hark
	clients *party
	next    int // number of the next publication
}

// NewCrowd starts a server and has n clients come.
func NewCrowd(n int) (*Crowd, error) {
	c := &Crowd{n: n}
	var err error
	if c.hark, err = startHark(n, "", stream.Config{}); err != nil {
		return nil, err
	}
	if c.clients, err = startParty("crowd", strconv.Itoa(n)); err != nil {
		c.hark.Stop()
		return nil, err
	}
	if err = c.publish(1); err == nil {
		err = c.come(visit{Gap: true, First: 0, Last: 1})
	}
	if err != nil {
		c.Close()
	}
	return c, err
}

func (c *Crowd) publish(n int) error {
	for range n {
		if err := c.hark.bus.PublishWithEvents(context.Background(), c.next, map[string][]string{"n": {strconv.Itoa(c.next)}}); err != nil {
			return err
		}
		c.next++
	}
	return nil
}

// Cut cuts all connections and returns how long it takes until all clients
// have come back and got exactly what was published after the cut.
func (c *Crowd) Cut(publications int) (time.Duration, error) {
	begun, first := time.Now(), c.next
	c.hark.conns.cut()
	if err := c.publish(publications); err != nil {
		return 0, err
	}
	err := c.come(visit{First: first, Last: c.next})
	return time.Since(begun), err
}

// Restart replaces the server by another one, with a history of its own, and
// returns how long it takes from its start until all clients have been told,
// and got the publications of the new one.
func (c *Crowd) Restart(publications int) (time.Duration, error) {
	c.hark.Stop()
	begun := time.Now()
	var err error
	if c.hark, err = startHark(c.n, "", stream.Config{}); err != nil {
		return 0, err
	}
	first := c.next
	if err := c.publish(publications); err != nil {
		return 0, err
	}
	err = c.come(visit{Gap: true, First: first, Last: c.next})
	return time.Since(begun), err
}

// Close ends the clients and the server.
func (c *Crowd) Close() {
	c.clients.stop()
	c.hark.Stop()
}

// A visit asks clients to dial, again if they were connected, and to receive:
// after a gap the numbers from First to before Last.
type visit struct {
	URL         string
	Gap         bool
	First, Last int
}

// come has all clients come, at once, and returns when they have all got what
// they should.
func (c *Crowd) come(v visit) error {
	v.URL = c.hark.url()
	failed := ""
	if err := c.clients.ask(v, &failed); err != nil {
		return err
	}
	if failed != "" {
		return errors.New(failed)
	}
	return nil
}

func crowdClients(in *bufio.Scanner, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	members := make([]member, n)
	for in.Scan() {
		var v visit
		if err := json.Unmarshal(in.Bytes(), &v); err != nil {
			return err
		}
		failed := ""
		if err := all(members, func(m *member) error { return m.visit(v) }); err != nil {
			failed = err.Error()
		}
		if err := answer(failed); err != nil {
			return err
		}
	}
	return nil
}

// all calls f for all members at once.
func all(members []member, f func(*member) error) error {
	errs := make([]error, len(members))
	var group sync.WaitGroup
	for i := range members {
		group.Go(func() { errs[i] = f(&members[i]) })
	}
	group.Wait()
	failures := 0
	var first error
	for _, err := range errs {
		if err != nil {
			failures++
			first = err
		}
	}
	if first != nil {
		return fmt.Errorf("wire: %d of %d clients failed, one of them: %w", failures, len(members), first)
	}
	return nil
}

// A member is one client of a crowd.
type member struct {
	ws   *websocket.Conn
	last history.Cursor
}

func (m *member) visit(v visit) error {
	var err error
	if m.ws != nil {
		for err == nil { // until it is cut; it may be told that it will be
			_, _, err = m.ws.ReadMessage()
		}
		m.ws.Close()
	}
	if err = m.dial(v.URL); err != nil {
		return err
	}
	if _, _, err := m.ws.ReadMessage(); err != nil { // the answer
		return err
	}
	if v.Gap {
		if r, err := m.receive(); err != nil || r.Gap == nil || r.Gap.Reason != history.EpochChanged {
			return fmt.Errorf("%+v instead of a gap: %w", r, err)
		}
	}
	for n := v.First; n < v.Last; n++ {
		if r, err := m.receive(); err != nil || r.Gap != nil || string(r.Data.Value) != strconv.Itoa(n) {
			return fmt.Errorf("%+v instead of %d: %w", r, n, err)
		}
	}
	return nil
}

// dial connects and subscribes.
func (m *member) dial(url string) (err error) {
	dialling <- struct{}{}
	defer func() { <-dialling }()
	m.ws, err = greet(url, `{"id":1,"method":"subscribe","params":{"query":"n EXISTS","after":"`+m.last.String()+`"}}`)
	return err
}

// dialling bounds how many dial at the same moment: what is beyond the queue
// of the listening socket is dropped by the kernel and sent again after a
// second, which no server can mend.
var dialling = make(chan struct{}, 1000)

// result is what a subscription with cursors is sent.
type result struct {
	Cursor history.Cursor
	Data   stream.Data
	Gap    *history.Gap
}

func (m *member) receive() (r result, err error) {
	_, message, err := m.ws.ReadMessage()
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(message, &struct{ Result *result }{&r})
	m.last = r.Cursor
	return r, err
}
