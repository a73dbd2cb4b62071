package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/stream"
)

// A Theater is one server with several audiences, each of which gets what is
// published for it. In an audience a tenth of the clients may have stalled:
// they have subscribed and do not read, for as long as the theater is open.
type Theater struct {
	hark      *hark
	audiences []*party
	size      int
}

// stalledPolicy keeps the subscriptions of a tenth of each audience, whether
// they read or not: so the stalled ones cost what they cost all the time.
const stalledPolicy = stream.OverflowDropOldest

// OpenTheater opens one with audiences of so many clients; stalled says in
// which of them a tenth does not read.
func OpenTheater(size int, stalled ...bool) (*Theater, error) {
	h, err := startHark(size*len(stalled), "", stream.Config{WriteTimeout: time.Hour, QueueBytes: 32 << 10})
	if err != nil {
		return nil, err
	}
	h.conns.sendBuffer.Store(64 << 10)
	t := &Theater{hark: h, size: size}
	for i, some := range stalled {
		party, err := startParty("timed", strconv.Itoa(size), strconv.FormatBool(some), h.url(), audienceQuery(i))
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		t.audiences = append(t.audiences, party)
		if err := await(func() bool { return h.bus.NumClients() == (i+1)*size }); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %d of %d clients came", err, h.bus.NumClients(), (i+1)*size), t.Close())
		}
		if err := t.fill(i, some); err != nil {
			return nil, errors.Join(err, t.Close())
		}
	}
	return t, nil
}

func audienceQuery(i int) string { return fmt.Sprintf("audience = %d", i) }

// fill publishes to an audience. If some of it do not read, their part of the
// kernel's buffers is full then, and so are their buffers on the bus.
func (t *Theater) fill(audience int, stalled bool) error {
	const step, enough, size = 50, 300, 4 << 10
	before, published := t.Dropped(), 0
	for published < enough || stalled && t.Dropped() == before {
		if published == 100*enough {
			return errors.New("wire: nobody stalls")
		}
		for range step {
			if err := t.publish(audience, size); err != nil {
				return err
			}
		}
		published += step
		if err := t.audiences[audience].ask(expected{step}, nil); err != nil {
			return err
		}
	}
	return nil
}

// publish publishes for an audience what says when it was published.
func (t *Theater) publish(audience, size int) error {
	value := append([]byte(timeMark), strconv.FormatInt(time.Now().UnixNano(), 10)...)
	value = append(value, `","padding":"`...)
	value = append(append(value, bytes.Repeat([]byte{'x'}, size)...), `"}`...)
	return t.hark.bus.PublishWithEvents(context.Background(), stream.Data{Type: "bench/time", Value: value},
		map[string][]string{"audience": {strconv.Itoa(audience)}})
}

const timeMark = `{"at":"`

// Contender returns an audience as a contender. The value of a sample is the
// 99th percentile of the time from publishing until one of those who read has
// it, in nanoseconds.
func (t *Theater) Contender(audience int) trial.Contender {
	return trial.Contender{Name: audienceQuery(audience), Sample: func(int) (float64, error) {
		const publications, pause = 25, 2 * time.Millisecond
		for range publications {
			if err := t.publish(audience, 600); err != nil {
				return 0, err
			}
			time.Sleep(pause)
		}
		var p99 float64
		err := t.audiences[audience].ask(expected{publications}, &p99)
		return p99, err
	}}
}

// Dropped returns how many messages the bus dropped for those who do not read.
func (t *Theater) Dropped() uint64 { return t.hark.bus.Stats().Dropped }

// Close ends the clients and the server.
func (t *Theater) Close() error {
	for _, party := range t.audiences {
		party.stop()
	}
	t.hark.Stop()
	return nil
}

// expected asks an audience for the 99th percentile of the latencies of so many
// publications.
type expected struct{ Publications int }

// timedClients measure how old what they get is.
func timedClients(in *bufio.Scanner, args []string) error {
	size, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	a := audience{stalls: args[1] == "true"}
	for i := range size {
		params := ""
		if a.mayStall(i) {
			params = `,"overflow":"` + string(stalledPolicy) + `"`
		}
		ws, err := greet(args[2], `{"id":1,"method":"subscribe","params":{"query":"`+args[3]+`"`+params+`}}`)
		if err != nil {
			return err
		}
		if _, _, err := ws.ReadMessage(); err != nil { // the answer
			return err
		}
		switch {
		case !a.mayStall(i):
			a.readers++
			go a.read(ws, true)
		case a.stalls:
			a.stalled = append(a.stalled, ws)
		default:
			go a.read(ws, false)
		}
	}
	for in.Scan() {
		var n int
		if _, err := fmt.Sscanf(in.Text(), `{"Publications":%d}`, &n); err != nil {
			return err
		}
		latencies, err := a.take(n * a.readers)
		if err != nil {
			return err
		}
		if err := answer(trial.Percentile(latencies, 99)); err != nil {
			return err
		}
	}
	return nil
}

// An audience is a process of timed clients.
type audience struct {
	stalls  bool
	readers int
	stalled []*websocket.Conn // kept, or they would be closed as garbage

	mu        sync.Mutex
	latencies []float64
	err       error
}

// mayStall tells whether a client is one of the tenth that may not read, and is
// never counted.
func (*audience) mayStall(i int) bool { return i%10 == 0 }

func (a *audience) read(ws *websocket.Conn, counts bool) {
	for {
		_, message, err := ws.ReadMessage()
		now := time.Now().UnixNano()
		a.mu.Lock()
		if err != nil {
			a.err = err
			a.mu.Unlock()
			return
		}
		if at, ok := published(message); ok && counts {
			a.latencies = append(a.latencies, float64(now-at))
		}
		a.mu.Unlock()
	}
}

// published returns when a message was published.
func published(message []byte) (at int64, ok bool) {
	_, rest, ok := strings.Cut(string(message), timeMark)
	text, _, _ := strings.Cut(rest, `"`)
	at, err := strconv.ParseInt(text, 10, 64)
	return at, ok && err == nil
}

// take waits for n latencies and returns them.
func (a *audience) take(n int) (latencies []float64, err error) {
	err = await(func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.latencies) >= n || a.err != nil
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if latencies, a.latencies = a.latencies, nil; len(latencies) != n || err != nil {
		return nil, fmt.Errorf("wire: %d of %d arrived: %w", len(latencies), n, errors.Join(err, a.err))
	}
	return latencies, nil
}
