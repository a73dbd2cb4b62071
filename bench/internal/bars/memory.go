package bars

import (
	"context"
	"fmt"
	"runtime"
	"strconv"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/bench/internal/matching"
	"github.com/harkbus/pubsub/query"
)

// held returns how many bytes of the heap stay occupied by what make returns.
func held(make func() any) float64 {
	before := heap()
	made := make()
	after := heap()
	runtime.KeepAlive(made)
	return float64(after) - float64(before)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func memoryExperiments() []Experiment {
	return []Experiment{
		{Name: "memory 100k", Measure: func(s *Session) error { return s.measureIdle(hundred) }},
		{Name: "memory 1M", Large: true, Measure: func(s *Session) error { return s.measureIdle(million) }},
	}
}

// measureIdle measures what n subscriptions take that never got anything.
func (s *Session) measureIdle(n int) error {
	texts, err := matching.NewFixture("equality", n)
	if err != nil {
		return err
	}
	clients := make([]string, n)
	for i := range clients {
		clients[i] = strconv.Itoa(i)
	}
	same := func(int) *query.Query { return texts.Queries[0] }
	distinct := func(i int) *query.Query { return texts.Queries[i] }
	goal := AtMost(350)
	for _, c := range []struct {
		what     string
		capacity int
		query    func(int) *query.Query
	}{
		{"clients of one query, capacity 1", 1, same},
		{"clients of one query, capacity 100,000", 100_000, same},
		{"distinct queries, capacity 1", 1, distinct},
		{"distinct queries, capacity 100,000", 100_000, distinct},
	} {
		bytes, err := idle(n, c.capacity, clients, c.query)
		if err != nil {
			return err
		}
		s.count(fmt.Sprintf("bytes an idle subscription, %s %s", number(n), c.what), "300", goal, bytes,
			"without the client's name and the query")
	}
	allIn, err := idle(n, 1, nil, func(i int) *query.Query { return query.MustParse(texts.Workload.Query(i, n)) })
	if err != nil {
		return err
	}
	s.count(fmt.Sprintf("bytes an idle subscription, %s distinct queries, all in", number(n)), "", Goal{}, allIn,
		"with the client's name and the query")
	runtime.KeepAlive(texts) // or its end would count as a gain
	runtime.KeepAlive(clients)
	return nil
}

// idle returns the bytes that one of n subscriptions takes. Without names for
// the clients it makes them.
func idle(n, capacity int, clients []string, q func(i int) *query.Query) (float64, error) {
	var err error
	total := held(func() any {
		server := pubsub.NewServer()
		for i := 0; i < n && err == nil; i++ {
			args := pubsub.SubscribeArgs{Capacity: capacity, Query: q(i)}
			if clients == nil {
				args.ClientID = strconv.Itoa(i)
			} else {
				args.ClientID = clients[i]
			}
			_, err = server.SubscribeWithArgs(context.Background(), args)
		}
		return server
	})
	return total / float64(n), err
}
