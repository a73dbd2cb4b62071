package bars

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/harkbus/pubsub/bench/internal/delivery"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/workload"
)

func allocationExperiments() []Experiment {
	return []Experiment{{Name: "allocations", Measure: measureAllocations}}
}

// measureAllocations counts what publishing and receiving allocate: among many
// queries of each workload, and to many readers that wait.
func measureAllocations(s *Session) error {
	for _, w := range workload.Workloads {
		if err := s.measureQueryAllocations(w.Name, 10_000); err != nil {
			return err
		}
	}
	p, err := delivery.NewPump(delivery.Hark, 100, 2, events())
	if err != nil {
		return err
	}
	defer p.Close()
	return s.allocations("100 readers that wait", p.Contender())
}

func (s *Session) measureQueryAllocations(name string, n int) error {
	st, err := newStage(name, n)
	if err != nil {
		return err
	}
	st.Events = st.Events[:64] // so that each subscription gets many
	server, err := delivery.NewHarkQueries(st.Queries, st.Events, st.targets())
	if err != nil {
		return err
	}
	defer server.Close()
	return s.allocations(fmt.Sprintf("%s, %s queries", name, number(n)), server.Contender())
}

func (s *Session) allocations(of string, c trial.Contender) error {
	const runs = 2000
	var err error
	once := func() {
		if _, e := c.Sample(1); e != nil {
			err = e
		}
	}
	for range runs {
		once()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	each := testing.AllocsPerRun(runs, once)
	runtime.ReadMemStats(&after)
	s.count("allocations a publish: "+of, "0", AtMost(0), each,
		Figure(float64(after.TotalAlloc-before.TotalAlloc)/runs)+" bytes a publish")
	return err
}
