package bars

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/harkbus/pubsub/bench/internal/callgrind"
	"github.com/harkbus/pubsub/bench/internal/matching"
)

func instructionExperiments() []Experiment {
	return []Experiment{
		{Name: "instructions 100k", Measure: func(s *Session) error { return s.measureInstructions(hundred, "1.02", Goal{}) }},
		{Name: "instructions 1M", Large: true, Measure: func(s *Session) error { return s.measureInstructions(million, "", AtMost(1.05)) }},
	}
}

// CountedCommand is the argument by which this program is asked to be the one
// whose instructions are counted: a workload and a number of queries follow.
const CountedCommand = "match-all"

// Counted finds the matches of all events of a workload, once to warm up and
// once counted.
func Counted(workload, n string) error {
	count, err := strconv.Atoi(n)
	if err != nil {
		return err
	}
	st, err := newStage(workload, count)
	if err != nil {
		return err
	}
	found := make([]int, 0, 1024)
	callgrind.Start()
	for _, e := range st.Events {
		found = st.index.Match(e, found[:0])
	}
	callgrind.Stop()
	return nil
}

func (s *Session) measureInstructions(n int, gate string, goal Goal) error {
	what := "instructions a match, equality: at " + number(n) + " ÷ at 1k"
	var per [2]float64
	for i, size := range []int{small, n} {
		total, err := callgrind.Count(context.Background(), CountedCommand, "equality", strconv.Itoa(size))
		if errors.Is(err, callgrind.ErrUnavailable) {
			s.Progress("%s: %v", what, err)
			s.add(Row{What: what, Gate: gate, Goal: goal, Skipped: true, Detail: "needs valgrind"})
			return nil
		}
		if err != nil {
			return err
		}
		per[i] = float64(total) / matching.Prebuilt
	}
	s.count(what, gate, goal, per[1]/per[0], fmt.Sprintf("%s ÷ %s", Figure(per[1]), Figure(per[0])))
	return nil
}
