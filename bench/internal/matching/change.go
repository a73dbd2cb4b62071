package matching

import (
	"math/rand/v2"
	"time"

	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// A Churn adds queries to an index and takes them out again.
type Churn struct {
	index   *match.Index[int]
	queries []*query.Query
	ids     []match.ID

	MaxMoved uint64 // entries that one Add or Remove moved, at most
}

// NewChurn has an index change by some queries that it does not hold.
func NewChurn(index *match.Index[int], queries []*query.Query) *Churn {
	return &Churn{index: index, queries: queries, ids: make([]match.ID, len(queries))}
}

func (c *Churn) add(n int) time.Duration {
	began := time.Now()
	for i := range n {
		c.ids[i] = c.index.Add(c.queries[i], -1)
	}
	return time.Since(began)
}

func (c *Churn) remove(n int) time.Duration {
	began := time.Now()
	for i := range n {
		c.index.Remove(c.ids[i])
	}
	return time.Since(began)
}

// Add is the cost of adding one.
func (c *Churn) Add() trial.Contender {
	return trial.Contender{Name: "hark add", Sample: func(n int) (float64, error) {
		return c.inTurns(n, func(n int) time.Duration {
			defer c.remove(n)
			return c.add(n)
		})
	}}
}

// Remove is the cost of taking one out.
func (c *Churn) Remove() trial.Contender {
	return trial.Contender{Name: "hark remove", Sample: func(n int) (float64, error) {
		return c.inTurns(n, func(n int) time.Duration {
			c.add(n)
			return c.remove(n)
		})
	}}
}

// inTurns does something n times, as many at once as there are queries.
func (c *Churn) inTurns(n int, do func(n int) time.Duration) (float64, error) {
	var took time.Duration
	for left := n; left > 0; left -= len(c.queries) {
		took += do(min(left, len(c.queries)))
	}
	return float64(took) / float64(n), nil
}

// Measure finds MaxMoved.
func (c *Churn) Measure() {
	moved := c.index.Stats().Moved
	note := func() {
		now := c.index.Stats().Moved
		c.MaxMoved, moved = max(c.MaxMoved, now-moved), now
	}
	for i, q := range c.queries {
		c.ids[i] = c.index.Add(q, -1)
		note()
	}
	for _, id := range c.ids {
		c.index.Remove(id)
		note()
	}
}

// MapGet is the yardstick for operations that must touch memory: one look-up
// in a Go map of n texts, in random order.
func MapGet(n int, key func(i int) string) trial.Contender {
	keys, values := make([]string, n), make(map[string]int, n)
	for i := range keys {
		keys[i] = key(i)
		values[keys[i]] = i
	}
	rand.Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	next, sum := 0, 0
	return trial.Contender{Name: "map get", Sample: func(count int) (float64, error) {
		began := time.Now()
		for range count {
			sum += values[keys[next]]
			if next++; next == n {
				next = 0
			}
		}
		return float64(time.Since(began)) / float64(count), nil
	}}
}
