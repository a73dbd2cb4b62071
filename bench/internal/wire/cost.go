package wire

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/harkbus/pubsub/stream"
)

// Encodings returns how often a publication is encoded for each form in which
// its data is sent, whatever the number of clients.
func Encodings(clients, publications int) (float64, error) {
	h, err := startHark(2*clients, oneQuery, stream.Config{Buffer: 1000})
	if err != nil {
		return 0, err
	}
	defer h.Stop()
	forms := []string{"", "?carrier=on"}
	for i, form := range forms {
		party, err := h.invite(clients, h.url()+form, subscribe(oneQuery), uint64((i+1)*clients))
		if err != nil {
			return 0, err
		}
		defer party.stop()
	}
	if err := h.deliver(publications); err != nil {
		return 0, err
	}
	return float64(h.server.Stats().Encodings) / float64(publications*len(forms)), nil
}

// invite starts clients and waits until the server has written so many frames
// in all.
func (h *hark) invite(n int, url, hello string, frames uint64) (*party, error) {
	party, err := startParty("discard", fmt.Sprint(n), url, hello)
	if err != nil {
		return nil, err
	}
	if err := await(func() bool { return h.Delivered() >= frames }); err != nil {
		party.stop()
		return nil, err
	}
	return party, nil
}

// deliver publishes and waits until all has been written to all clients.
func (h *hark) deliver(publications int) error {
	want := h.Delivered() + uint64(publications*h.n)
	for i := range publications {
		if err := h.Publish(i); err != nil {
			return err
		}
	}
	return await(func() bool { return h.Delivered() >= want })
}

// Allocations returns how many allocations a delivery takes, with so many
// clients of one event, without those of looking whether it is over.
func Allocations(clients int) (float64, error) {
	h, err := startHark(clients, oneQuery, stream.Config{Buffer: 1000})
	if err != nil {
		return 0, err
	}
	defer h.Stop()
	party, err := discard(h, clients)
	if err != nil {
		return 0, err
	}
	defer party.stop()
	const runs = 200
	looks := 0
	deliver := func() {
		want := h.Delivered() + uint64(clients)
		e := h.Publish(0)
		if e == nil {
			e = await(func() bool { looks++; return h.Delivered() >= want })
		}
		if e != nil {
			err = e
		}
	}
	for range 100 {
		deliver() // buffers grow
	}
	look := testing.AllocsPerRun(runs, func() { h.Delivered() })
	looks = 0
	all := testing.AllocsPerRun(runs, deliver)
	perRun := 1 + float64(looks)/(runs+1) // AllocsPerRun warms up with one more
	return max(0, all-look*perRun) / float64(clients), err
}

// IdleBytes returns the heap and the stacks that a connection takes which has
// said hello and is idle.
func IdleBytes(connections int, hello string) (float64, error) {
	h, err := startHark(2*connections, oneQuery, stream.Config{})
	if err != nil {
		return 0, err
	}
	defer h.Stop()
	const first = 100 // with them, what is made once is made
	early, err := h.invite(first, h.url(), hello, first)
	if err != nil {
		return 0, err
	}
	defer early.stop()
	before := memory()
	party, err := h.invite(connections, h.url(), hello, uint64(first+connections))
	if err != nil {
		return 0, err
	}
	defer party.stop()
	return (memory() - before) / float64(connections), nil
}

// What idle connections have said: that of Subscription waits for an event.
var (
	Health       = `{"id":1,"method":"health"}`
	Subscription = subscribe("a = 1")
)

// memory returns the bytes of heap and stacks in use, once collecting has not
// changed them several times.
func memory() float64 {
	const same, times = 16 << 10, 3
	var m runtime.MemStats
	for before, steady := uint64(0), 0; ; before = m.HeapAlloc + m.StackInuse {
		time.Sleep(50 * time.Millisecond) // goroutines end, stacks shrink
		runtime.GC()
		runtime.ReadMemStats(&m)
		now := m.HeapAlloc + m.StackInuse
		if steady++; max(now, before)-min(now, before) >= same {
			steady = 0
		}
		if steady == times {
			return float64(now)
		}
	}
}
