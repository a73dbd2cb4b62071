// Package trial compares contenders on a machine that others use too.
//
// Each contender runs in short samples, a few milliseconds each, and the
// contenders take turns:
//
//	round 1: A B C    round 2: B C A    round 3: C A B    …
//
// A disturbance hits them alike, and among many short samples there are some
// that nothing disturbed: the minimum is what the code costs, the median what
// it cost here. Ratios within one trial are worth something; times are not.
// How much a ratio is worth says the A/A ratio: the first contender is opened
// twice and compared with itself.
package trial

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// A Contender does one kind of operation.
type Contender struct {
	Name string

	// Sample does n operations and returns what one of them cost, in
	// nanoseconds. It checks that they did what they should.
	Sample func(n int) (float64, error)
}

// A Result is what the operations of one contender cost.
type Result struct {
	Name    string
	N       int // operations of one sample
	Samples []float64
}

// Min returns the smallest sample, in nanoseconds.
func (r *Result) Min() float64 { return slices.Min(r.Samples) }

// Median returns the middle sample, in nanoseconds.
func (r *Result) Median() float64 { return Percentile(r.Samples, 50) }

// A Plan says how long to measure.
type Plan struct {
	Sample time.Duration // about how long one sample takes
	Rounds int
	Budget time.Duration // no new round after this, but at least MinRounds
}

// MinRounds is how many rounds a trial has however slow its contenders are.
const MinRounds = 5

// Run measures the contenders. The results are in the same order.
func Run(plan Plan, contenders ...Contender) ([]*Result, error) {
	results := make([]*Result, len(contenders))
	for i, c := range contenders {
		n, err := calibrate(c, plan.Sample)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		results[i] = &Result{Name: c.Name, N: n}
	}
	began := time.Now()
	for round := range plan.Rounds {
		if round >= MinRounds && time.Since(began) > plan.Budget {
			break
		}
		for i := range contenders {
			turn := (i + round) % len(contenders)
			c, r := contenders[turn], results[turn]
			cost, err := c.Sample(r.N)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			r.Samples = append(r.Samples, cost)
		}
	}
	return results, nil
}

// calibrate finds how many operations fill a sample. It warms up on the way.
func calibrate(c Contender, sample time.Duration) (int, error) {
	for n := 1; ; {
		began := time.Now()
		if _, err := c.Sample(n); err != nil {
			return 0, err
		}
		took := max(time.Since(began), 1)
		if took >= sample/2 {
			return max(1, int(int64(n)*int64(sample)/int64(took))), nil
		}
		n = min(8*n, int(int64(n)*int64(sample)/int64(took))+1)
	}
}

// Spread returns the 95th percentile, over the rounds, of the ratio of two
// contenders that are the same, the larger over the smaller.
func Spread(a, b *Result) float64 {
	ratios := make([]float64, len(a.Samples))
	for i := range ratios {
		ratios[i] = max(a.Samples[i]/b.Samples[i], b.Samples[i]/a.Samples[i])
	}
	return Percentile(ratios, 95)
}

// MedianSpread returns how far from 1 the ratio of the medians of two
// contenders that are the same may be by chance, the larger over the smaller:
// the 95th percentile over samples that are drawn anew from those there are (a
// bootstrap).
func MedianSpread(a, b *Result) float64 {
	random := rand.New(rand.NewPCG(1, 2)) // the same figure for the same samples
	ratios := make([]float64, 1000)
	for i := range ratios {
		ratio := median(random, a.Samples) / median(random, b.Samples)
		ratios[i] = max(ratio, 1/ratio)
	}
	return Percentile(ratios, 95)
}

// median returns the median of as many samples as there are, drawn at random.
func median(random *rand.Rand, samples []float64) float64 {
	drawn := make([]float64, len(samples))
	for i := range drawn {
		drawn[i] = samples[random.IntN(len(samples))]
	}
	return Percentile(drawn, 50)
}

// Percentile returns the p-th percentile of samples.
func Percentile(samples []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[min(len(sorted)-1, int(p/100*float64(len(sorted))))]
}
