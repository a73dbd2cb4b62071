// Package latency gathers how long things took, to within a hundredth.
package latency

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Histogram counts times. Its methods may be called from any goroutine; its
// zero value is ready and takes little memory until the first time.
type Histogram struct {
	mu     sync.Mutex
	counts *hdrhistogram.Histogram // in nanoseconds
}

// Longest is the largest time that is told from a larger one.
const Longest = time.Minute

// Record counts d.
func (h *Histogram) Record(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readyLocked().RecordValue(int64(min(max(d, 1), Longest))) // in range, so it cannot fail
}

func (h *Histogram) readyLocked() *hdrhistogram.Histogram {
	if h.counts == nil {
		h.counts = hdrhistogram.New(1, int64(Longest), 2)
	}
	return h.counts
}

// Add counts all that another histogram counted; nobody may add the two to
// each other at once.
func (h *Histogram) Add(other *Histogram) {
	other.mu.Lock()
	defer other.mu.Unlock()
	if other.counts == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readyLocked().Merge(other.counts)
}

// Count returns how many times were counted.
func (h *Histogram) Count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		return 0
	}
	return h.counts.TotalCount()
}

// Quantile returns the time that percent of all times are at or below; 0 if
// there are none.
func (h *Histogram) Quantile(percent float64) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		return 0
	}
	return time.Duration(h.counts.ValueAtQuantile(percent))
}

// A Bin is the times from Low to below High.
type Bin struct {
	Low, High time.Duration
	Count     int64
}

// Bins returns the times in bins that begin at 1, 2 and 5 of each power of
// ten, from the first that has some to the last.
func (h *Histogram) Bins() []Bin {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		return nil
	}
	var bins []Bin
	bin := Bin{Low: 1, High: 2}
	for _, bar := range h.counts.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for time.Duration(bar.From) >= bin.High {
			if len(bins) > 0 || bin.Count > 0 {
				bins = append(bins, bin)
			}
			bin = bin.next()
		}
		bin.Count += bar.Count
	}
	return append(bins, bin)
}

func (b Bin) next() Bin {
	if leading(b.High) == 2 {
		return Bin{Low: b.High, High: b.High / 2 * 5}
	}
	return Bin{Low: b.High, High: b.High * 2} // from 1 to 2, from 5 to 10
}

// leading returns the first digit of d.
func leading(d time.Duration) time.Duration {
	for d >= 10 {
		d /= 10
	}
	return d
}
