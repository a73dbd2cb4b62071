// Package remote carries publications from one end to another through Redis,
// once with Hark and once with each of its peers.
package remote

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

// PayloadSize is how many bytes every publication carries.
const PayloadSize = 100

// Attributes are what a publication has end to end, besides its payload.
var Attributes = map[string]string{
	"tm.event": "Tx", "tx.height": "1234567", "transfer.amount": "80uatom", "message.action": "send",
}

// A Kind is a way through Redis.
type Kind struct {
	Name string

	// Open connects both ends to the server at addr. The receiving end calls
	// got once for each publication.
	Open func(addr string, got func()) (Way, error)

	Slow bool // each publication waits for an answer: samples may be small
}

func (k *Kind) least() int {
	if k.Slow {
		return batch
	}
	return least
}

// A Way is open.
type Way interface {
	// Publish sends n publications. It may return before they arrive.
	Publish(n int) error
	Close() error
}

// A Line is a way that counts what arrives.
type Line struct {
	kind Kind
	way  Way
	got  *atomic.Int64
}

// Open opens a way and sends the first publications through it, so that both
// ends are known to be there.
func Open(kind Kind, addr string) (*Line, error) {
	l := &Line{kind: kind, got: new(atomic.Int64)}
	way, err := kind.Open(addr, func() { l.got.Add(1) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind.Name, err)
	}
	l.way = way
	_, err = l.sample(batch)
	return l, err
}

// Close closes both ends.
func (l *Line) Close() error { return l.way.Close() }

// Contender measures what one publication costs until it has arrived.
func (l *Line) Contender() trial.Contender {
	return trial.Contender{Name: l.kind.Name, Sample: l.sample}
}

// window is how many publications may be on their way, so that no end has to
// drop any.
const window = 1 << 14

// least is the smallest sample: fewer would measure how long one takes to
// arrive, not how many do.
const least = window

func (l *Line) sample(n int) (float64, error) {
	n = max(n, l.kind.least())
	from := l.got.Load()
	began := time.Now()
	for sent := 0; sent < n; {
		step := min(n-sent, 1024)
		if err := l.way.Publish(step); err != nil {
			return 0, err
		}
		sent += step
		if err := l.await(from + int64(sent-window)); err != nil {
			return 0, err
		}
	}
	if err := l.await(from + int64(n)); err != nil {
		return 0, err
	}
	return float64(time.Since(began)) / float64(n), nil
}

func (l *Line) await(count int64) error {
	deadline := time.Now().Add(time.Minute)
	for l.got.Load() < count {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %d publications did not arrive", l.kind.Name, count-l.got.Load())
		}
		time.Sleep(5 * time.Microsecond)
	}
	return nil
}

// batch is how many publications the peers that can send several at once do.
// It is what Hark puts into a frame.
const batch = 64

// each sends commands and returns the errors among the answers.
func each(client rueidis.Client, commands []rueidis.Completed) error {
	var errs []error
	for _, result := range client.DoMulti(background, commands...) {
		if err := result.Error(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// batches calls f with the sizes of batches that make n.
func batches(n int, f func(n int) error) error {
	for ; n > 0; n -= batch {
		if err := f(min(n, batch)); err != nil {
			return err
		}
	}
	return nil
}

func payload() []byte { return make([]byte, PayloadSize) }

var background = context.Background()
