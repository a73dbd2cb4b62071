package bars

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/harkbus/pubsub/bench/internal/matching"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/workload"
	"github.com/harkbus/pubsub/match"
)

const (
	small   = 1_000
	hundred = 100_000
	million = 1_000_000
)

func indexExperiments() []Experiment {
	return []Experiment{
		{Name: "index N=1", Measure: measureFewQueries},
		{Name: "index loop", Measure: measureCometBFTLoop},
		{Name: "index contains", Measure: measureContains},
		{Name: "index 100k", Measure: func(s *Session) error { return s.measureIndex(hundred) }},
		{Name: "index 1M", Large: true, Measure: func(s *Session) error { return s.measureIndex(million) }},
		{Name: "index quamina 100k", Measure: func(s *Session) error { return s.measureQuamina(hundred) }},
		{Name: "index quamina 1M", Large: true, Measure: func(s *Session) error { return s.measureQuamina(million) }},
		{Name: "index ranges 100k", Measure: func(s *Session) error { return s.measureCorner(hundred) }},
		{Name: "index ranges 1M", Large: true, Measure: func(s *Session) error { return s.measureCorner(million) }},
		{Name: "index long value 100k", Measure: func(s *Session) error { return s.measureLongValue(hundred) }},
		{Name: "index long value 1M", Large: true, Measure: func(s *Session) error { return s.measureLongValue(million) }},
	}
}

// A stage is a fixture in an index, ready to be measured.
type stage struct {
	*matching.Fixture
	index  *match.Index[int]
	counts []int
}

func newStage(workload string, n int) (*stage, error) {
	return prepared(matching.NewFixture(workload, n))
}

func prepared(f *matching.Fixture, err error) (*stage, error) {
	if err != nil {
		return nil, err
	}
	st := &stage{Fixture: f, index: f.Index()}
	st.counts = f.Counts(st.index)
	return st, nil
}

func (st *stage) match() trial.Contender { return st.Match(st.index, st.counts) }
func (st *stage) batch() trial.Contender { return st.MatchBatch(st.index, st.counts) }

// number writes n as people say it.
func number(n int) string {
	switch {
	case n%million == 0:
		return fmt.Sprintf("%dM", n/million)
	case n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// onlyAt returns goal if n is the number of queries that it is set for.
func onlyAt(n, goalN int, goal Goal) Goal {
	if n != goalN {
		return Goal{}
	}
	return goal
}

// measureFewQueries compares with trying all queries, where these are so few
// that it is the best there is.
func measureFewQueries(s *Session) error {
	for _, bar := range []struct {
		n          int
		name, gate string
	}{{1, "1 query", "1.5–2"}, {8, "8 queries", ""}} {
		st, err := newStage("equality", bar.n)
		if err != nil {
			return err
		}
		r, err := trial.Run(s.Plan, st.match(), st.match(), st.Loop(st.counts))
		if err != nil {
			return err
		}
		s.spread("matching "+bar.name+": hark", r[0], r[1])
		s.compare(bar.name+": hark ÷ plain loop", bar.gate, AtMost(1.2), r[0], r[2])
	}
	return nil
}

// measureCometBFTLoop compares with what CometBFT's server does for each
// publication: it tries every query.
func measureCometBFTLoop(s *Session) error {
	for _, bar := range []struct {
		workload, gate string
		goal           Goal
	}{{"equality", "679,000", AtLeast(700_000)}, {"ranges", "356,000", AtLeast(500_000)}} {
		st, err := newStage(bar.workload, hundred)
		if err != nil {
			return err
		}
		comet, err := st.CometBFT(st.counts)
		if err != nil {
			return err
		}
		r, err := trial.Run(s.Plan, st.match(), comet, st.Loop(st.counts))
		if err != nil {
			return err
		}
		of := "match at 100k, " + bar.workload + ": "
		s.compare(of+"CometBFT query loop ÷ hark", bar.gate, bar.goal, r[1], r[0])
		s.compare(of+"plain loop ÷ hark", "", Goal{}, r[2], r[0])
	}
	return nil
}

func measureContains(s *Session) error {
	st, err := newStage("contains", small)
	if err != nil {
		return err
	}
	events, err := st.JSON()
	if err != nil {
		return err
	}
	quamina, err := matching.NewQuamina(st.Fixture, events)
	if err != nil {
		return err
	}
	r, err := trial.Run(s.Plan, st.match(), quamina.Match(st.counts))
	if err != nil {
		return err
	}
	s.compare("match at 1k, contains: quamina ÷ hark", "1,380", AtLeast(1000), r[1], r[0])
	return nil
}

// measureIndex measures n equality queries beside a thousand and a Go map.
func (s *Session) measureIndex(n int) error {
	few, err := newStage("equality", small)
	if err != nil {
		return err
	}
	many, err := newStage("equality", n)
	if err != nil {
		return err
	}
	strangers, err := many.Strangers(1 << 14)
	if err != nil {
		return err
	}
	churn := matching.NewChurn(many.index, strangers)
	churn.Measure()
	contenders := []trial.Contender{
		few.match(), few.match(), many.match(), few.batch(), many.batch(),
		churn.Add(), churn.Remove(),
		mapGet(n),
	}
	r, err := trial.Run(s.Plan, contenders...)
	if err != nil {
		return err
	}
	at := fmt.Sprintf(" at %s", number(n))
	s.spread("matching 1k queries: hark", r[0], r[1])
	s.compare("match, equality:"+at+" ÷ at 1k", onlyText(n, million, "7–9"), onlyAt(n, million, AtMost(5)), r[2], r[0])
	s.compare("match, equality, batches of 32:"+at+" ÷ at 1k", "", onlyAt(n, million, AtMost(2.5)), r[4], r[3])
	s.compare("match, equality, one by one ÷ batches of 32"+at, "", Goal{}, r[2], r[4])
	s.compare("subscribe (index)"+at+" ÷ map get", onlyText(n, million, "22–39"), onlyAt(n, million, AtMost(40)), r[5], r[7])
	s.compare("unsubscribe (index)"+at+" ÷ map get", onlyText(n, million, "22–39"), onlyAt(n, million, AtMost(40)), r[6], r[7])
	s.count("entries moved by one subscribe or unsubscribe"+at+", at most", "unbounded", AtMost(1024), float64(churn.MaxMoved),
		fmt.Sprintf("%d of each", len(strangers)))
	return nil
}

func onlyText(n, goalN int, text string) string {
	if n != goalN {
		return ""
	}
	return text
}

// measureQuamina compares with quamina at n equality queries, whose texts are
// short.
func (s *Session) measureQuamina(n int) error {
	st, err := prepared(matching.NewShortFixture("equality", n))
	if err != nil {
		return err
	}
	strangers, err := st.Strangers(1 << 14)
	if err != nil {
		return err
	}
	events, err := st.JSON()
	if err != nil {
		return err
	}
	ours := held(func() any { return st.Index() })
	var quamina *matching.Quamina
	theirs := held(func() any {
		quamina, err = matching.NewQuamina(st.Fixture, events)
		return quamina
	})
	if err != nil {
		return err
	}
	r, err := trial.Run(s.Plan, st.match(), quamina.Match(st.counts), matching.NewChurn(st.index, strangers).Add(), quamina.Add())
	if err != nil {
		return err
	}
	at := " at " + number(n) + ", equality of short texts: quamina ÷ hark"
	s.compare("match"+at, onlyText(n, million, "6.8"), onlyAt(n, million, AtLeast(10)), r[1], r[0])
	s.compare("add"+at, onlyText(n, million, "35"), onlyAt(n, million, AtLeast(35)), r[3], r[2])
	s.count("memory"+at, onlyText(n, million, "5.6"), onlyAt(n, million, AtLeast(6)), theirs/ours,
		fmt.Sprintf("%s ÷ %s bytes a query", Figure(theirs/float64(n)), Figure(ours/float64(n))))
	return nil
}

// measureCorner measures the workload that a sorted list cannot help with.
func (s *Session) measureCorner(n int) error {
	st, err := newStage("corner", n)
	if err != nil {
		return err
	}
	r, err := trial.Run(s.Plan, st.match(), st.batch(), mapGet(n))
	if err != nil {
		return err
	}
	what := "two one-sided ranges at " + number(n)
	s.compare(what+": hark ÷ map get", onlyText(n, million, "10–33"), onlyAt(n, million, AtMost(40)), r[0], r[2])
	s.compare(what+", batches of 32: hark ÷ map get", "", Goal{}, r[1], r[2])
	return nil
}

// mapGet is one look-up among n addresses.
func mapGet(n int) trial.Contender {
	equality, _ := workload.Named("equality")
	return matching.MapGet(n, func(i int) string { return strings.SplitN(equality.Query(i, n), "'", 3)[1] })
}

// measureLongValue looks for the words of n queries in a value of 1 MB, beside
// counting one word in it: once with one match, and once with as many as there
// are texts in it.
func (s *Session) measureLongValue(n int) error {
	st, err := newStage("contains", n)
	if err != nil {
		return err
	}
	strangers, err := matching.NewFixture("equality", 1) // whose texts match nothing
	if err != nil {
		return err
	}
	of := "a value of 1 MB against CONTAINS at " + number(n)
	one := longValue(strangers.Events)
	copy(one[len(one)/2:], st.Events[0]["tx.memo"][0])
	if err := s.compareLongValue(of+", 1 match", onlyText(n, million, "Bloom scan only"), onlyAt(n, million, AtMost(10)), st, one, 1); err != nil {
		return err
	}
	many := longValue(st.Events)
	matches := len(st.index.Match(map[string][]string{"tx.memo": {string(many)}}, nil))
	return s.compareLongValue(fmt.Sprintf("%s, %s matches", of, Figure(float64(matches))), "", Goal{}, st, many, matches)
}

// longValue returns 1 MB of the events' texts.
func longValue(events []map[string][]string) []byte {
	var value []byte
	for i := 0; len(value) < 1<<20; i++ {
		value = append(value, events[i%len(events)]["tx.memo"][0]...)
	}
	return value
}

func (s *Session) compareLongValue(what, gate string, goal Goal, st *stage, value []byte, matches int) error {
	events, word := map[string][]string{"tx.memo": {string(value)}}, []byte(strings.Repeat("z", 14))
	var found []int
	r, err := trial.Run(s.Plan,
		repeatedly("hark", func() bool {
			found = st.index.Match(events, found[:0])
			return len(found) == matches
		}),
		repeatedly("bytes.Count", func() bool { return bytes.Count(value, word) == 0 }),
	)
	if err != nil {
		return err
	}
	s.compare(what+": hark ÷ bytes.Count", gate, goal, r[0], r[1])
	return nil
}

// repeatedly is a contender that does one thing, which tells whether it went
// well.
func repeatedly(name string, do func() bool) trial.Contender {
	return trial.Contender{Name: name, Sample: func(n int) (float64, error) {
		well := true
		began := time.Now()
		for range n {
			well = do() && well
		}
		cost := float64(time.Since(began)) / float64(n)
		if !well {
			return 0, errors.New("it did not do what it should")
		}
		return cost, nil
	}}
}
