// Package delivery has the buses that the comparison is about carry the same
// messages under the same pacing: from one publisher to M readers that all
// want everything.
//
// The publisher sends a window of half the readers' capacity and then waits
// until all readers have all of it, so that no bus loses, cuts or blocks.
// Every reader checks what it gets.
package delivery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

// An Item is what is published. There are as many as ring, made beforehand and
// published in turns, so that a bus is measured and not the making of items.
type Item struct {
	Number  uint64 // below ring
	Events  map[string][]string
	Payload []byte // Number, for buses that carry bytes
}

// ring is more than any bus holds at once: what is lost or comes twice shows.
const ring = 4096

// A Bus carries items from Publish to the readers it was opened with.
type Bus interface {
	Publish(*Item) error
	Close() error
}

// A Kind of bus.
type Kind struct {
	Name      string
	Unordered bool // makes no promise about the order
	Open      func(readers []*Reader, capacity int) (Bus, error)
}

// A Reader is one subscriber's side: its goroutine calls Got for each item.
type Reader struct {
	next  uint64 // items so far
	end   uint64 // of the window
	sum   uint64 // of the numbers
	wrong uint64 // items that were not the next one

	window uint64
	group  *group
	begin  time.Time
	at     time.Duration // after begin: when the last window was complete
}

// Got takes note of an item.
func (r *Reader) Got(number uint64) {
	if number != r.next%ring {
		r.wrong++
	}
	r.sum += number
	if r.next++; r.next == r.end {
		r.complete()
	}
}

func (r *Reader) complete() {
	r.at = time.Since(r.begin)
	r.end += r.window
	r.group.done()
}

// A group is the readers that a publisher waits for.
type group struct {
	left atomic.Int64
	over chan struct{} // capacity 1: all are done
}

func (g *group) done() {
	if g.left.Add(-1) == 0 {
		g.over <- struct{}{}
	}
}

// patience is how long a window may take before its items count as lost.
const patience = 20 * time.Second

// A Pump publishes to a bus in windows.
type Pump struct {
	kind    Kind
	bus     Bus
	readers []*Reader
	group   group
	window  int
	items   [ring]Item
	sent    uint64
	sum     uint64 // of their numbers
	late    *time.Timer
}

// NewPump opens a bus to some readers, each with a buffer of some capacity.
func NewPump(kind Kind, readers, capacity int, events []map[string][]string) (*Pump, error) {
	p := &Pump{kind: kind, window: max(1, capacity/2), late: time.NewTimer(patience)}
	p.group.over = make(chan struct{}, 1)
	begin := time.Now()
	for range readers {
		window := uint64(p.window)
		p.readers = append(p.readers, &Reader{end: window, window: window, group: &p.group, begin: begin})
	}
	for i := range p.items {
		number := uint64(i)
		p.items[i] = Item{Number: number, Events: events[i%len(events)], Payload: binary.LittleEndian.AppendUint64(nil, number)}
	}
	bus, err := kind.Open(p.readers, capacity)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind.Name, err)
	}
	p.bus = bus
	return p, nil
}

// Window is how many items the publisher sends before it waits.
func (p *Pump) Window() int { return p.window }

// Close closes the bus.
func (p *Pump) Close() error { return p.bus.Close() }

// Contender sends windows; its operation is one window, its cost that of one
// item to all readers.
func (p *Pump) Contender() trial.Contender {
	return trial.Contender{Name: p.kind.Name, Sample: func(n int) (float64, error) {
		p.late.Reset(patience)
		began := time.Now()
		for range n {
			if err := p.send(); err != nil {
				return 0, err
			}
		}
		took := time.Since(began)
		return float64(took) / float64(n*p.window), p.check()
	}}
}

// LatencyContender sends one item after the other to a reader that waits for
// it; the cost is the median of the time from before Publish until the reader
// has the item. The window must be 1.
func (p *Pump) LatencyContender() trial.Contender {
	reader := p.readers[0]
	var took []float64
	return trial.Contender{Name: p.kind.Name, Sample: func(n int) (float64, error) {
		p.late.Reset(patience)
		took = took[:0]
		for range n {
			sent := time.Since(reader.begin)
			if err := p.send(); err != nil {
				return 0, err
			}
			took = append(took, float64(reader.at-sent))
		}
		return trial.Percentile(took, 50), p.check()
	}}
}

func (p *Pump) send() error {
	p.group.left.Store(int64(len(p.readers)))
	for range p.window {
		item := &p.items[p.sent%ring]
		if err := p.bus.Publish(item); err != nil {
			return err
		}
		p.sum += item.Number
		p.sent++
	}
	select {
	case <-p.group.over:
		return nil
	case <-p.late.C:
		return errors.New("items were lost")
	}
}

func (p *Pump) check() error {
	for i, r := range p.readers {
		switch {
		case r.next != p.sent:
			return fmt.Errorf("reader %d got %d items of %d", i, r.next, p.sent)
		case r.sum != p.sum:
			return fmt.Errorf("reader %d did not get each item once", i)
		case r.wrong > 0 && !p.kind.Unordered:
			return fmt.Errorf("reader %d got %d items out of order", i, r.wrong)
		}
	}
	return nil
}
