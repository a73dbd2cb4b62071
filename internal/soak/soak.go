// Package soak lets a test run for moments with every change, and for minutes
// when somebody asks for it: make soak SOAK=10m.
//
//	for seed := range soak.Rounds(t, 6) {
//		random := rand.New(rand.NewPCG(seed, 0))
//		…
//	}
package soak

import (
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Variable is the environment variable that says how long to soak: a duration
// such as 10m, or @N for round N alone.
const Variable = "HARK_SOAK"

// Rounds yields the numbers of the rounds that a test is to do. Usually those
// are 0 to n-1, the same every time. When soaking they begin at a random number,
// and there are as many as begin within the duration; a test that fails logs
// how to do its last round again.
func Rounds(t testing.TB, n int) iter.Seq[uint64] {
	t.Helper()
	value := os.Getenv(Variable)
	if value == "" {
		return count(n)
	}
	if number, ok := strings.CutPrefix(value, "@"); ok {
		round, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatalf("soak: %s=%s names no round", Variable, value)
		}
		return one(round)
	}
	duration, err := time.ParseDuration(value)
	if err != nil {
		t.Fatalf("soak: %s=%s is no duration", Variable, value)
	}
	return during(t, duration)
}

func count(n int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for round := range uint64(n) {
			if !yield(round) {
				return
			}
		}
	}
}

func one(round uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) { yield(round) }
}

func during(t testing.TB, duration time.Duration) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		first, end := rand.Uint64N(1<<48), time.Now().Add(duration)
		round := first
		t.Cleanup(func() {
			t.Logf("soak: %d rounds", round-first+1)
			if t.Failed() {
				t.Logf("soak: the last round again: %s=@%d", Variable, round)
			}
		})
		for yield(round) && !t.Failed() && time.Now().Before(end) {
			round++
		}
	}
}
