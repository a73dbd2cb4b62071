// Package language has Hark and CometBFT parse the same queries and try them on
// the same publications.
package language

import (
	"math"
	"runtime"
	"time"

	cometbft "github.com/cometbft/cometbft/libs/pubsub/query"

	"github.com/harkbus/pubsub/bench/internal/trial"
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

// A Contest is one thing that both do.
type Contest struct {
	Name         string
	Parse        bool // otherwise it matches
	Ours, Theirs func()
}

// Contests returns all there are.
func Contests() []Contest {
	var all []Contest
	for _, w := range workloads {
		all = append(all, Contest{
			Name: "parse " + w.name, Parse: true,
			Ours:   func() { parseOurs(w.text) },
			Theirs: func() { parseTheirs(w.text) },
		})
	}
	for _, w := range workloads {
		ours, theirs := parseOurs(w.text), parseTheirs(w.text)
		try := func(name string, events map[string][]string) {
			all = append(all, Contest{
				Name:   name + " " + w.name,
				Ours:   func() { matches(ours, events) },
				Theirs: func() { matches(theirs, events) },
			})
		}
		try("match", w.match)
		try("mismatch", w.mismatch)
	}
	return all
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

// Repeated is a contender that does one thing.
func Repeated(name string, do func()) trial.Contender {
	return trial.Contender{Name: name, Sample: func(n int) (float64, error) {
		began := time.Now()
		for range n {
			do()
		}
		return float64(time.Since(began)) / float64(n), nil
	}}
}

// Memory returns the bytes and allocations of one call, the least of several:
// what is kept between calls is not counted.
func Memory(do func()) (bytes, allocs float64) {
	bytes, allocs = math.Inf(1), math.Inf(1)
	for range 50 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		bytes = min(bytes, float64(after.TotalAlloc-before.TotalAlloc))
		allocs = min(allocs, float64(after.Mallocs-before.Mallocs))
	}
	return bytes, allocs
}
