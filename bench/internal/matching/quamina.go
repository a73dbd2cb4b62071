package matching

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quamina.net/go/quamina"

	"github.com/harkbus/pubsub/bench/internal/trial"
)

// A Quamina holds the queries of a fixture as quamina's patterns.
type Quamina struct {
	fixture *Fixture
	matcher *quamina.Quamina
	events  [][]byte
	added   int
}

// JSON returns the events as quamina takes them.
func (f *Fixture) JSON() ([][]byte, error) {
	texts := make([][]byte, len(f.Events))
	for i, e := range f.Events {
		var err error
		if texts[i], err = json.Marshal(e); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// NewQuamina files the queries of an equality or contains fixture, whose
// events are those.
func NewQuamina(f *Fixture, events [][]byte) (*Quamina, error) {
	matcher, err := quamina.New()
	if err != nil {
		return nil, err
	}
	q := &Quamina{fixture: f, matcher: matcher, events: events}
	return q, q.add(q.patterns(f.N))
}

// patterns returns the next count patterns, the text of each.
func (q *Quamina) patterns(count int) ([]string, error) {
	texts := make([]string, count)
	for i := range texts {
		var err error
		if texts[i], err = pattern(q.fixture.Workload.Query(q.added+i, q.fixture.N)); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func (q *Quamina) add(patterns []string, err error) error {
	for _, p := range patterns {
		if err != nil {
			break
		}
		err = q.matcher.AddPattern(q.added, p)
		q.added++
	}
	return err
}

// pattern translates a query of equalities, or one CONTAINS.
func pattern(text string) (string, error) {
	fields := make(map[string][]any)
	for condition := range strings.SplitSeq(text, " AND ") {
		words := strings.SplitN(condition, " ", 3)
		key, operator, operand := words[0], words[1], strings.Trim(words[2], "'")
		switch operator {
		case "=":
			fields[key] = []any{operand}
		case "CONTAINS":
			fields[key] = []any{map[string]string{"shellstyle": "*" + operand + "*"}}
		default:
			return "", fmt.Errorf("quamina: no pattern for %s", condition)
		}
	}
	b, err := json.Marshal(fields)
	return string(b), err
}

// Match asks quamina about one event at a time.
func (q *Quamina) Match(counts []int) trial.Contender {
	return q.fixture.walk("quamina", counts, func(event int) (int, error) {
		matches, err := q.matcher.MatchesForEvent(q.events[event])
		return len(matches), err
	})
}

// Add adds patterns that are not there. It does not take them out again, which
// quamina could not do cheaply.
func (q *Quamina) Add() trial.Contender {
	return trial.Contender{Name: "quamina add", Sample: func(n int) (float64, error) {
		patterns, err := q.patterns(n)
		began := time.Now()
		if err := q.add(patterns, err); err != nil {
			return 0, err
		}
		return float64(time.Since(began)) / float64(n), nil
	}}
}
