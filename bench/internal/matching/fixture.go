// Package matching has the matchers that the comparison is about find the
// matches of the same events among the same queries.
package matching

import (
	"fmt"
	"regexp"
	"time"

	cometbft "github.com/cometbft/cometbft/libs/pubsub/query"

	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// Prebuilt is how many events a fixture has: too many to stay in the
// processor's cache.
const Prebuilt = 16_384

// A Fixture is n queries of one workload, and events for them.
type Fixture struct {
	Workload workload.Workload
	N        int
	Queries  []*query.Query
	Events   []map[string][]string
}

// NewFixture makes n queries and Prebuilt events of the workload of that name.
func NewFixture(name string, n int) (*Fixture, error) {
	w, ok := workload.Named(name)
	if !ok {
		return nil, fmt.Errorf("there is no workload %q", name)
	}
	return newFixture(w, n, w.Events(Prebuilt, n, 1))
}

// NewShortFixture is NewFixture with addresses of 10 bytes. What quamina takes
// grows with the length of texts, to several kilobytes a query with whole
// addresses.
func NewShortFixture(name string, n int) (*Fixture, error) {
	w, ok := workload.Named(name)
	if !ok {
		return nil, fmt.Errorf("there is no workload %q", name)
	}
	events := w.Events(Prebuilt, n, 1)
	for _, e := range events {
		for _, values := range e {
			for i := range values {
				values[i] = shortened(values[i])
			}
		}
	}
	long := w.Query
	w.Query = func(i, n int) string { return shortened(long(i, n)) }
	return newFixture(w, n, events)
}

// address is what is cut off: all of an address but its last 10 bytes.
var address = regexp.MustCompile(`cosmos1[a-z0-9]{28}`)

func shortened(text string) string { return address.ReplaceAllLiteralString(text, "") }

func newFixture(w workload.Workload, n int, events []map[string][]string) (*Fixture, error) {
	f := &Fixture{Workload: w, N: n, Events: events}
	for i := range n {
		q, err := query.New(w.Query(i, n))
		if err != nil {
			return nil, err
		}
		f.Queries = append(f.Queries, q)
	}
	return f, nil
}

// Strangers returns queries of the workload that the fixture does not have.
func (f *Fixture) Strangers(count int) ([]*query.Query, error) {
	queries := make([]*query.Query, count)
	for i := range queries {
		var err error
		if queries[i], err = query.New(f.Workload.Query(f.N+i, f.N+count)); err != nil {
			return nil, err
		}
	}
	return queries, nil
}

// Index returns an index of the queries, each by its number.
func (f *Fixture) Index() *match.Index[int] {
	index := match.New[int]()
	for i, q := range f.Queries {
		index.Add(q, i)
	}
	return index
}

// Counts returns how many queries each event matches.
func (f *Fixture) Counts(index *match.Index[int]) []int {
	counts := make([]int, len(f.Events))
	var found []int
	for i, e := range f.Events {
		found = index.Match(e, found[:0])
		counts[i] = len(found)
	}
	return counts
}

// walk returns a contender that looks for the matches of one event after the
// other and checks how many there are.
func (f *Fixture) walk(name string, counts []int, find func(event int) (matches int, err error)) trial.Contender {
	event := 0
	return trial.Contender{Name: name, Sample: func(n int) (float64, error) {
		wrong := -1
		began := time.Now()
		for range n {
			matches, err := find(event)
			if err != nil {
				return 0, err
			}
			if matches != counts[event] {
				wrong = event
			}
			event = (event + 1) % len(f.Events)
		}
		cost := float64(time.Since(began)) / float64(n)
		if wrong >= 0 {
			return 0, fmt.Errorf("event %d has another number of matches than %d", wrong, counts[wrong])
		}
		return cost, nil
	}}
}

// Match is the index asked about one event at a time.
func (f *Fixture) Match(index *match.Index[int], counts []int) trial.Contender {
	var found []int
	return f.walk("hark", counts, func(event int) (int, error) {
		found = index.Match(f.Events[event], found[:0])
		return len(found), nil
	})
}

// BatchSize is how many events MatchBatch is asked about at a time.
const BatchSize = 32

// MatchBatch is the index asked about BatchSize events at a time; the cost is
// that of one event.
func (f *Fixture) MatchBatch(index *match.Index[int], counts []int) trial.Contender {
	var batch match.Batch[int]
	walk := f.walk("hark, batches", counts, func(event int) (int, error) {
		if event%BatchSize == 0 {
			index.MatchBatch(f.Events[event:event+BatchSize], &batch)
		}
		return len(batch.Of(event % BatchSize)), nil
	})
	// A sample is whole batches, or some would find their matches made.
	return trial.Contender{Name: walk.Name, Sample: func(n int) (float64, error) { return walk.Sample(n * BatchSize) }}
}

// Loop tries every query.
func (f *Fixture) Loop(counts []int) trial.Contender {
	loop := match.NewLoop[int](nil)
	for i, q := range f.Queries {
		loop.Add(q, i)
	}
	var found []int
	return f.walk("plain loop", counts, func(event int) (int, error) {
		found = loop.Match(f.Events[event], found[:0])
		return len(found), nil
	})
}

// CometBFT tries every query with CometBFT's own matching, as its server does.
func (f *Fixture) CometBFT(counts []int) (trial.Contender, error) {
	queries := make([]*cometbft.Query, len(f.Queries))
	for i, q := range f.Queries {
		var err error
		if queries[i], err = cometbft.New(q.String()); err != nil {
			return trial.Contender{}, err
		}
	}
	return f.walk("CometBFT loop", counts, func(event int) (matches int, err error) {
		for _, q := range queries {
			matched, err := q.Matches(f.Events[event])
			if err != nil {
				return 0, err
			}
			if matched {
				matches++
			}
		}
		return matches, nil
	}), nil
}
