package bars

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/harkbus/pubsub/bench/internal/delivery"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/query"
)

// measureChurn measures publishing to a server with n subscriptions while
// another goroutine subscribes and unsubscribes as fast as it can, beside the
// same while nothing else happens, and while the changes are to another server:
// these take no lock of the first one, so what they cost is the machine. Last it
// measures a lock alone that is held as long as both take: what that costs is the
// machine's too, which takes the processor from who holds the lock.
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
	other, err := delivery.NewHarkQueries(st.Queries[:min(n, hundred)], nil, nil)
	if err != nil {
		return err
	}
	defer other.Close()

	change, err := other.TimeOfChange(strangers)
	if err != nil {
		return err
	}
	for _, pause := range []time.Duration{0, 200 * time.Microsecond} {
		var idle, beside, under, lock latencies
		r, err := trial.Run(s.longer(5), // so that the two share the processors as the scheduler likes
			idle.contender(server, pause, nil, nil),
			beside.contender(server, pause, other, strangers),
			under.contender(server, pause, server, strangers),
			lock.hold(change, pause, &idle))
		if err != nil {
			return err
		}
		at := " ÷ idle at " + number(n)
		if pause > 0 {
			at += fmt.Sprintf(", one every %v", pause)
		}
		full, elsewhere := "publish under full churn"+at, "publish beside changes to another server"+at
		s.compare(full+": p50", onlyText(n, million, "1.7–2.5"), AtMost(2), r[2], r[0])
		s.percentile(full, 99, AtMost(10), under, idle)
		s.percentile(full, 99.9, Goal{}, under, idle)
		s.compare(elsewhere+": p50", "", Goal{}, r[1], r[0])
		s.percentile(elsewhere, 99, Goal{}, beside, idle)
		s.percentile(elsewhere, 99.9, Goal{}, beside, idle)
		alone := strings.Replace(full, "÷ idle", "÷ a lock alone held as long", 1)
		s.compare(alone+": p50", "", Goal{}, r[2], r[3])
		s.percentile(alone, 99, Goal{}, under, lock)
		s.percentile(alone, 99.9, Goal{}, under, lock)
		s.count("subscriptions made and ended meanwhile, for each publication", "", Goal{}, float64(under.changes)/float64(len(under.all)), "")
	}
	return nil
}

// longer is the plan of the session with longer samples.
func (s *Session) longer(times time.Duration) trial.Plan {
	plan := s.Plan
	plan.Sample *= times
	return plan
}

// percentile compares one of all samples of a with that of b.
func (s *Session) percentile(what string, p float64, goal Goal, a, b latencies) {
	of, to := trial.Percentile(a.all, p), trial.Percentile(b.all, p)
	s.count(fmt.Sprintf("%s: p%g", what, p), "", goal, of/to, Nanoseconds(of)+" ÷ "+Nanoseconds(to)+" of all samples")
}

// latencies are how long publications took.
type latencies struct {
	all, last []float64
	changes   int // subscriptions made and ended meanwhile
}

// contender publishes to server, with a pause before each publication, while the
// subscriptions of churned change, if it is not nil. The cost is the median.
func (l *latencies) contender(server *delivery.Queries, pause time.Duration, churned *delivery.Queries, strangers []*query.Query) trial.Contender {
	return trial.Contender{Sample: func(n int) (p50 float64, err error) {
		if churned != nil {
			churn := churned.StartChurn(strangers)
			defer func() {
				err = errors.Join(err, churn.Stop())
				l.changes += churn.Count
			}()
		}
		l.last, err = server.Publish(n, pause, l.last[:0])
		l.all = append(l.all, l.last...)
		return trial.Percentile(l.last, 50), err
	}}
}

// hold takes a lock for as long as a publication takes by the median so far, while
// another goroutine takes it for as long as a change does. The cost is the median.
func (l *latencies) hold(change, pause time.Duration, idle *latencies) trial.Contender {
	return trial.Contender{Sample: func(n int) (p50 float64, err error) {
		h := delivery.Hold{Change: change, Publication: time.Duration(trial.Percentile(idle.last, 50))}
		h.Start()
		defer h.Stop()
		l.last = h.Publish(n, pause, l.last[:0])
		l.all = append(l.all, l.last...)
		return trial.Percentile(l.last, 50), nil
	}}
}
