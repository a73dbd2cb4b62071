package bars

import (
	"fmt"

	"github.com/harkbus/pubsub/bench/internal/delivery"
	"github.com/harkbus/pubsub/bench/internal/trial"
)

// measureChurn measures publishing to a server with n subscriptions while
// another goroutine subscribes and unsubscribes as fast as it can, beside the
// same while nothing else happens.
func (s *Session) measureChurn(n int) error {
	st, err := newStage("equality", n)
	if err != nil {
		return err
	}
	strangers, err := st.Strangers(1 << 14)
	if err != nil {
		return err
	}
	server, err := delivery.NewHarkQueries(st.Queries, st.Events, st.targets())
	if err != nil {
		return err
	}
	defer server.Close()

	var idle, churned latencies
	changes := 0
	publish := func(of *latencies) trial.Contender {
		return trial.Contender{Sample: func(n int) (float64, error) { return of.sample(server, n) }}
	}
	churning := publish(&churned)
	under := trial.Contender{Sample: func(n int) (float64, error) {
		churn := server.StartChurn(strangers)
		p50, err := churning.Sample(n)
		if err := churn.Stop(); err != nil {
			return 0, err
		}
		changes += churn.Count
		return p50, err
	}}
	plan := s.Plan
	plan.Sample *= 5 // so that the two share the processors as the scheduler likes
	r, err := trial.Run(plan, publish(&idle), under)
	if err != nil {
		return err
	}
	at := "publish under full churn ÷ idle at " + number(n)
	s.compare(at+": p50", onlyText(n, million, "1.7–2.5"), onlyAt(n, million, AtMost(2)), r[1], r[0])
	for _, p := range []float64{99, 99.9} {
		a, b := trial.Percentile(churned.all, p), trial.Percentile(idle.all, p)
		s.count(fmt.Sprintf("%s: p%g", at, p), "", Goal{}, a/b, Nanoseconds(a)+" ÷ "+Nanoseconds(b)+" of all samples")
	}
	s.count("subscriptions made and ended meanwhile, for each publication", "", Goal{}, float64(changes)/float64(len(churned.all)), "")
	return nil
}

// latencies are how long publications took.
type latencies struct{ all, last []float64 }

// sample publishes n times and returns the median.
func (l *latencies) sample(server *delivery.Queries, n int) (p50 float64, err error) {
	l.last, err = server.Publish(n, l.last[:0])
	l.all = append(l.all, l.last...)
	return trial.Percentile(l.last, 50), err
}
