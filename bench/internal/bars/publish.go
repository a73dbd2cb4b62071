package bars

import (
	"fmt"

	"github.com/harkbus/pubsub/bench/internal/delivery"
	"github.com/harkbus/pubsub/bench/internal/trial"
)

func publishExperiments() []Experiment {
	var all []Experiment
	for _, n := range []int{1, 10, 100, 1000, 10_000, hundred, million} {
		all = append(all, Experiment{
			Name:    "publish N=" + number(n),
			Large:   n == million,
			Measure: func(s *Session) error { return s.measurePublish(n) },
		})
	}
	return append(all,
		Experiment{Name: "churn 100k", Measure: func(s *Session) error { return s.measureChurn(hundred) }},
		Experiment{Name: "churn 1M", Large: true, Measure: func(s *Session) error { return s.measureChurn(million) }},
	)
}

// mostOfCometBFT is how many subscriptions CometBFT's server is given: one
// publication takes it a third of a second then.
const mostOfCometBFT = hundred

// measurePublish measures publishing what one of n subscriptions matches, and
// receiving it.
func (s *Session) measurePublish(n int) (err error) {
	st, err := newStage("equality", n)
	if err != nil {
		return err
	}
	targets := st.targets()
	ours, err := delivery.NewHarkQueries(st.Queries, st.Events, targets)
	if err != nil {
		return err
	}
	defer ours.Close()
	contenders := []trial.Contender{ours.Contender()}
	if n <= mostOfCometBFT {
		theirs, err := delivery.NewCometBFTQueries(st.Queries, st.Events, targets)
		if err != nil {
			return err
		}
		defer theirs.Close()
		contenders = append(contenders, theirs.Contender())
	}
	r, err := trial.Run(s.Plan, contenders...)
	if err != nil {
		return err
	}
	point := Point{Queries: n, Hark: r[0].Min()}
	if len(r) > 1 {
		point.CometBFT = r[1].Min()
		s.compare(fmt.Sprintf("publish → receive, 1 match of %s: CometBFT ÷ hark", number(n)),
			onlyText(n, 10_000, "96,000"), onlyAt(n, 10_000, AtLeast(50_000)), r[1], r[0])
	}
	s.Report.Curve = append(s.Report.Curve, point)
	return nil
}

// targets returns for each event the queries that it matches.
func (st *stage) targets() [][]int {
	targets := make([][]int, len(st.Events))
	for i, e := range st.Events {
		targets[i] = st.index.Match(e, nil)
	}
	return targets
}
