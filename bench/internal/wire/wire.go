// Package wire measures what a server of WebSockets costs: user and system time
// of its process for a delivery, memory, and the time that crowds of clients
// take. The clients are always another process, which is this program again.
package wire

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

// A Contender serves WebSockets and publishes to all of them.
type Contender struct {
	Name string

	// Start listens on a port of its own for so many connections.
	Start func(connections int) (Server, error)
}

// A Server is a contender that runs.
type Server interface {
	Address() (url, hello string) // where clients connect, and what each says; %d in it is its number
	Ready() bool                  // all clients have subscribed
	Publish(i int) error          // one publication, to all
	Delivered() uint64            // frames handed to the kernel so far
	Stop()
}

// A Load is what each contender carries in one sample.
type Load struct {
	Connections int
	Burst       int // publications that are published at once
	Bursts      int
}

// Contender returns c as a contender for processor time: a sample starts the
// server and its clients anew, so that nobody pays for the memory of others,
// and its value is the time of one delivery.
func (l Load) Contender(c Contender) trial.Contender {
	return trial.Contender{Name: c.Name, Sample: func(int) (float64, error) {
		server, err := c.Start(l.Connections)
		if err != nil {
			return 0, err
		}
		defer server.Stop()
		clients, err := discard(server, l.Connections)
		if err != nil {
			return 0, err
		}
		defer clients.stop()
		warm := Load{l.Connections, l.Burst, 3}
		if _, err := warm.carry(server); err != nil {
			return 0, err
		}
		runtime.GC()
		return l.carry(server)
	}}
}

// carry publishes the bursts and returns the processor time of one delivery, in
// nanoseconds.
func (l Load) carry(s Server) (float64, error) {
	before := processorTime()
	for b := range l.Bursts {
		want := s.Delivered() + uint64(l.Connections*l.Burst)
		for i := range l.Burst {
			if err := s.Publish(b*l.Burst + i); err != nil {
				return 0, err
			}
		}
		if err := await(func() bool { return s.Delivered() >= want }); err != nil {
			return 0, fmt.Errorf("%w: %d of %d delivered", err, s.Delivered(), want)
		}
	}
	return float64(processorTime()-before) / float64(l.Bursts*l.Burst*l.Connections), nil
}

// await looks for a condition every 100 µs, which costs the same in all.
func await(condition func() bool) error {
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("wire: waited for a minute")
		}
	}
	return nil
}

// processorTime is the user and system time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
