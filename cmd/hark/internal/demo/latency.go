package demo

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A latency gathers how long messages took. Its methods may be called from any
// goroutine; its zero value is ready.
type latency struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram // in nanoseconds
}

// longestLatency is the largest that is told from a larger one.
const longestLatency = time.Minute

func (l *latency) record(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.histogram == nil {
		l.histogram = hdrhistogram.New(1, int64(longestLatency), 2)
	}
	l.histogram.RecordValue(int64(min(max(d, 1), longestLatency))) // in range, so it cannot fail
}

// quantiles returns the median and the 99th percentile.
func (l *latency) quantiles() (p50, p99 time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.histogram == nil {
		return 0, 0
	}
	return time.Duration(l.histogram.ValueAtQuantile(50)), time.Duration(l.histogram.ValueAtQuantile(99))
}
