package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
)

// A View is what there is to see at one moment.
type View struct {
	Elapsed, Duration time.Duration // Duration is 0 for an endless run
	Height            int64         // of the chain
	Published         uint64
	Rate              float64 // publications a second
	Matched           uint64
	Delivered         uint64
	Dropped           uint64
	P50, P99          time.Duration // latency from publish to the reader
	Rows              []Row
	News              []Event // all so far
}

// A Row is what there is to see of one subscriber.
type Row struct {
	Name, Query     string
	Overflow        pubsub.Overflow
	Matched         uint64
	Rate            float64 // matches a second
	Depth, Capacity int     // of the buffer
	Dropped         uint64
	Cut             string // when and why, if it was
}

// An Event is something that happened.
type Event struct {
	At   time.Duration // since the start
	Text string
}

// view takes a view.
func (d *demo) view() View {
	now := time.Now()
	stats := d.server.Stats()
	v := View{
		Elapsed:   now.Sub(d.start),
		Duration:  d.Duration,
		Height:    d.height.Load(),
		Published: stats.Published,
		Rate:      d.published.add(now, stats.Published),
		Matched:   stats.Matched,
		Delivered: stats.Delivered,
		Dropped:   stats.Dropped,
	}
	v.P50, v.P99 = d.latency.Quantile(50), d.latency.Quantile(99)
	for _, s := range d.subscribers {
		v.Rows = append(v.Rows, s.row(now, stats.Subscriptions))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v.News = slices.Clone(d.news)
	return v
}

// row is what there is to see of s; once it is cut, what there was last.
func (s *subscriber) row(now time.Time, all []pubsub.SubscriptionStats) Row {
	for _, stats := range all {
		if stats.ClientID == s.name {
			s.last = stats
		}
	}
	r := Row{
		Name: s.name, Query: s.query, Overflow: s.overflow,
		Matched: s.last.Matched, Rate: s.rate.add(now, s.last.Matched),
		Depth: s.last.Depth, Capacity: s.capacity,
		Dropped: s.last.Dropped,
	}
	if cut := s.cut.Load(); cut != nil {
		r.Cut = fmt.Sprintf("%s: %s", figure.Seconds(cut.At), cut.Text)
	}
	return r
}

// A meter tells the rate of a count over the last second.
type meter struct {
	samples []sample // oldest first
}

type sample struct {
	at    time.Time
	count uint64
}

// add takes the count at a time and returns the rate a second.
func (m *meter) add(now time.Time, count uint64) float64 {
	m.samples = append(m.samples, sample{now, count})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > time.Second {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	span := now.Sub(first.at).Seconds()
	if span == 0 {
		return 0
	}
	return float64(count-first.count) / span
}
