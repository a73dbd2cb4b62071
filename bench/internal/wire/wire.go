// Package wire measures what a delivery over WebSocket costs a server, beside
// other ways to do it: user and system time of the process, with the clients in
// a process of their own.
package wire

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// A Plan says how much to measure.
type Plan struct {
	Connections int
	Burst       int // publications that are published at once
	Bursts      int // of one sample
	Rounds      int // samples of each contender, interleaved
}

// A Contender serves WebSockets and publishes to all of them.
type Contender struct {
	Name string

	// Start listens on a port of its own and returns where clients connect,
	// and the message that each sends then; %d in it is the client's number.
	Start func(connections int) (Server, error)
}

// A Server is a contender that runs.
type Server interface {
	Address() (url, hello string)
	Ready() bool         // all clients have subscribed
	Publish(i int) error // one publication, to all
	Delivered() uint64   // frames handed to the kernel so far
	Stop()
}

// Cost is the processor time of one delivery, over the rounds.
type Cost struct {
	Name        string
	Min, Median time.Duration
}

// sample publishes the bursts of one sample and returns the processor time of
// one delivery.
func sample(s Server, p Plan) (time.Duration, error) {
	before := processorTime()
	for b := range p.Bursts {
		want := s.Delivered() + uint64(p.Connections*p.Burst)
		for i := range p.Burst {
			if err := s.Publish(b*p.Burst + i); err != nil {
				return 0, err
			}
		}
		for deadline := time.Now().Add(20 * time.Second); s.Delivered() < want; {
			if time.Now().After(deadline) {
				return 0, fmt.Errorf("wire: %d of %d delivered", s.Delivered(), want)
			}
			time.Sleep(100 * time.Microsecond) // costs the same in all
		}
	}
	return (processorTime() - before) / time.Duration(p.Bursts*p.Burst*p.Connections), nil
}

// processorTime is the user and system time of this process.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startClients runs the clients of a server in another process.
func startClients(binary string, s Server, p Plan) (*exec.Cmd, error) {
	url, hello := s.Address()
	cmd := exec.Command(binary, "-clients", fmt.Sprint(p.Connections), "-url", url, "-hello", hello)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); !s.Ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			return nil, fmt.Errorf("wire: the clients do not come")
		}
	}
	return cmd, nil
}
