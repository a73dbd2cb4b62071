// Query holds parsing and matching against those of CometBFT, in one run.
//
//	go run ./query
//
// prints one line per query: nanoseconds at best and in the median of many
// rounds, bytes and allocations, and how many times as much CometBFT takes.
// The contenders take turns, so that both see what else the machine does; only
// the ratios mean something, and of these the ratio of the best: the median of a
// busy machine is mostly what others did. It ends with status 1 if that ratio
// is worse than what Hark promises: see bars.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	cometbft "github.com/cometbft/cometbft/libs/pubsub/query"

	"github.com/harkbus/pubsub/query"
)

// A workload is a query and two publications of 10 keys and 14 values, one
// that matches and one that does not.
type workload struct {
	name, text      string
	match, mismatch map[string][]string
}

var workloads = []workload{
	{
		name:     "1 condition",
		text:     `tm.event = 'NewBlock'`,
		match:    events("tm.event", "NewBlock"),
		mismatch: events("tm.event", "Tx"),
	},
	{
		name:     "3 conditions",
		text:     `tm.event='Tx' AND transfer.recipient='cosmos1gu6y2a0ffteesyeyeesk23082c6998xyzmt9mz' AND tx.height > 5`,
		match:    events("tm.event", "Tx"),
		mismatch: events("tx.height", "5"),
	},
	{
		name:     "5 conditions",
		text:     `tx.height >= 100 AND tx.height <= 200 AND block.time >= TIME 2013-05-03T14:45:00Z AND message.action EXISTS AND transfer.sender CONTAINS 'cosmos1'`,
		match:    events("tx.height", "150"),
		mismatch: events("transfer.sender", "osmo1"),
	},
}

// events returns a publication with one key changed to one value.
func events(key, value string) map[string][]string {
	e := map[string][]string{
		"tm.event":           {"Tx"},
		"tx.height":          {"150"},
		"tx.hash":            {"3D4E0A5A61B1BE7F9E0F9A2E2C2E2B3CC4D0F5CF6A1A1D2A1F2C5D6E7F809112"},
		"tx.fee":             {"1500uatom"},
		"block.time":         {"2024-02-15T17:05:42.123456789Z"},
		"message.action":     {"/cosmos.bank.v1beta1.MsgSend"},
		"message.sender":     {"cosmos1gu6y2a0ffteesyeyeesk23082c6998xyzmt9mz", "cosmos1fl48vsnmsdzcv85q5d2q4z5ajdha8yu34mf0eh"},
		"transfer.sender":    {"cosmos17xpfvakm2amg962yls6f84z3kell8c5lserqta", "cosmos1fl48vsnmsdzcv85q5d2q4z5ajdha8yu34mf0eh"},
		"transfer.recipient": {"cosmos1fl48vsnmsdzcv85q5d2q4z5ajdha8yu34mf0eh", "cosmos1gu6y2a0ffteesyeyeesk23082c6998xyzmt9mz"},
		"transfer.amount":    {"7uatom", "80uatom"},
	}
	for i := range e[key] {
		e[key][i] = value
	}
	return e
}

// A contest is one thing that both do.
type contest struct {
	name         string
	ours, theirs func()
	bars         bars
}

// bars are how many times as much CometBFT has to take.
type bars struct{ time, bytes float64 }

func contests() []contest {
	var parsing, matching []contest
	for _, w := range workloads {
		parsing = append(parsing, contest{"parse, " + w.name, func() { parseOurs(w.text) }, func() { parseTheirs(w.text) }, bars{time: 1, bytes: 3}})
		ours, theirs := parseOurs(w.text), parseTheirs(w.text)
		match := func(name string, events map[string][]string) contest {
			return contest{name + ", " + w.name, func() { matches(ours, events) }, func() { matches(theirs, events) }, bars{time: 20}}
		}
		matching = append(matching, match("match", w.match), match("mismatch", w.mismatch))
	}
	return append(parsing, matching...)
}

func parseOurs(text string) *query.Query      { return must(query.New(text)) }
func parseTheirs(text string) *cometbft.Query { return must(cometbft.New(text)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type matcher interface {
	Matches(map[string][]string) (bool, error)
}

func matches(m matcher, events map[string][]string) bool { return must(m.Matches(events)) }

// A cost is what one call takes.
type cost struct {
	best, median  float64 // ns
	bytes, allocs int64
}

// compare lets both run in turns.
func compare(c contest, rounds int, round time.Duration) (ours, theirs cost) {
	var a, b []float64
	nA, nB := calls(c.ours, round), calls(c.theirs, round)
	for range rounds {
		a = append(a, nanoseconds(c.ours, nA))
		b = append(b, nanoseconds(c.theirs, nB))
	}
	return summary(a, c.ours), summary(b, c.theirs)
}

// calls returns how many calls fill a round.
func calls(f func(), round time.Duration) int {
	n := 1
	for nanoseconds(f, n)*float64(n) < float64(round) {
		n *= 2
	}
	return n
}

func nanoseconds(f func(), n int) float64 {
	start := time.Now()
	for range n {
		f()
	}
	return float64(time.Since(start)) / float64(n)
}

func summary(samples []float64, f func()) cost {
	slices.Sort(samples)
	bytes, allocs := memory(f)
	return cost{samples[0], samples[len(samples)/2], bytes, allocs}
}

// memory returns the bytes and allocations of one call, the least of several:
// what is kept between calls is not counted.
func memory(f func()) (bytes, allocs int64) {
	bytes, allocs = math.MaxInt64, math.MaxInt64
	for range 50 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		bytes = min(bytes, int64(after.TotalAlloc-before.TotalAlloc))
		allocs = min(allocs, int64(after.Mallocs-before.Mallocs))
	}
	return bytes, allocs
}

func main() {
	rounds := flag.Int("rounds", 200, "how many rounds each contender runs")
	round := flag.Duration("round", time.Millisecond, "how long a round takes")
	flag.Parse()

	failed := false
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "\tours ns\tmedian\tB\tallocs\tCometBFT ns\tmedian\tB\tallocs\tbest ÷\tmedian ÷\tbar\t")
	for _, c := range contests() {
		ours, theirs := compare(c, *rounds, *round)
		ok := theirs.best/ours.best >= c.bars.time &&
			float64(theirs.bytes) >= c.bars.bytes*float64(ours.bytes)
		verdict := fmt.Sprintf("≥ %g", c.bars.time)
		if !ok {
			failed, verdict = true, verdict+" MISSED"
		}
		fmt.Fprintf(out, "%s\t%.0f\t%.0f\t%d\t%d\t%.0f\t%.0f\t%d\t%d\t%.1f\t%.1f\t%s\t\n", c.name,
			ours.best, ours.median, ours.bytes, ours.allocs, theirs.best, theirs.median, theirs.bytes, theirs.allocs,
			theirs.best/ours.best, theirs.median/ours.median, verdict)
	}
	out.Flush()
	if failed {
		os.Exit(1)
	}
}
