package bars

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sort"
	"strings"
	"syscall"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

func expressionExperiments() []Experiment {
	return []Experiment{{Name: "expressions: time of a publication", Measure: (*Session).measureExpressions}}
}

// kinds are regular expressions that keep all their instructions busy, each a
// unit that is repeated as often as the limit allows, and the value, repeated
// too, over which they take longest. They never match.
var kinds = []struct{ what, unit, value string }{
	{"a letter", "x?", "a"},
	{"a letter, reluctantly", "x??", "a"},
	{"an ASCII letter in any case", "(?i:b)?", "x"},
	{"an ASCII letter with three cases", "(?i:s)?", "Y"},
	{"ж in any case", "(?i:ж)?", "n"},
	{"θ, with four cases", "(?i:θ)?", "n"},
	{"Ā in any case", "(?i:Ā)?", "n"},
	{"𐐀 in any case", "(?i:𐐀)?", "a"},
	{"a class of 4 ranges", `\w?`, "~"},
	{"a class of 4 ranges that matches", `\w`, "x"},
	{"a class of 5 ranges", "[acegi]?", "g"},
	{"a class of 5 ranges that matches", "[acegi]", "g"},
	{"a class of 7 ranges", "[acegikm]?", "n"},
	{"letters of Unicode", `(?:\p{Greek}|x)?`, "n"},
	{"any character but a new line", ".", "a"},
	{"any character, or one more", "(?s:.)+", "n"},
	{"a repetition", "(?:x*)", "a"},
	{"captures", "(x)?", "a"},
	{"alternatives", "(?:xa|yb|c.)?", "x"},
	{"word boundaries", `\b?`, "a "},
	{"no word boundaries", `\B?`, "n"},
	{"ends of lines", "(?m:$)?", "\n"},
	{"invalid UTF-8", "x?", "\xff"},
	{"nothing", "(?:|)?", "a"},
}

// An expressionLimit is what one query may have, and a publication.
type expressionLimit struct {
	query  query.Limits
	budget int64
}

var (
	byDefault = expressionLimit{query.Limits{}, pubsub.DefaultExpressionBudget}
	byServe   = expressionLimit{query.Limits{Regexp: 100}, 64_000_000} // as hark serve has --max-expression and --expression-budget
)

// largest returns the longest query of a unit within limits, over the key m. It
// has no literal by which an index would rule it out.
func largest(l query.Limits, unit string) (*query.Query, error) {
	l.Length = 1 << 16
	text := func(n int) string { return "m MATCHES '" + strings.Repeat(unit, n) + "[!;]'" }
	n := sort.Search(1000, func(n int) bool { _, err := l.New(text(n + 1)); return err != nil })
	return l.New(text(n))
}

func (s *Session) measureExpressions() error {
	slowest, worst := kinds[0], 0.0
	var least float64
	for _, kind := range kinds {
		perStep, took, err := oneExpression(kind.unit, kind.value)
		if err != nil {
			return err
		}
		s.count("a step of "+kind.what+", ns", "", Goal{}, perStep, fmt.Sprintf("`%s` over %q", kind.unit, kind.value))
		if took > worst {
			worst, least, slowest = took, perStep, kind
		}
	}
	of := fmt.Sprintf("`%s` over %q, %s ns a step, the slowest of %d", slowest.unit, slowest.value, Figure(least), len(kinds))
	s.count("one query within the default limits, 16 KiB, ms", "", AtMost(50), worst/1e6, of)

	for _, row := range []struct {
		what        string
		goal        float64
		limit       expressionLimit
		size, count int
	}{
		{"4 queries within the default limits, 16 KiB, ms", 200, byDefault, 16 << 10, 4},
		{"hark serve: 20 queries of 100 instructions, 31,000 bytes, ms", 500, byServe, 31_000, 20},
		{"hark serve: 20 queries of 15 instructions, 1 MB, ms", 500, byServe.of(15), 999_000, 20},
	} {
		took, err := publication(row.limit.budget, row.count, strings.Repeat(slowest.value, row.size/len(slowest.value)),
			func() (*query.Query, error) { return largest(row.limit.query, slowest.unit) })
		if err != nil {
			return err
		}
		s.count(row.what, "", AtMost(row.goal), took/1e6, "of the slowest kind; those beyond the budget end")
	}
	took, err := publication(byDefault.budget, 200_000, "z", func() (*query.Query, error) { return query.New("m MATCHES '[xy]+$'") })
	if err != nil {
		return err
	}
	s.count("200,000 small queries within the default limits, 1 byte, ms", "", AtMost(200), took/1e6, "`[xy]+$`, each with a program of its own; those beyond the budget end")
	return nil
}

// of returns the limit with so many instructions for a query.
func (l expressionLimit) of(instructions int) expressionLimit {
	l.query.Regexp = instructions
	return l
}

const expressionRounds = 3

// oneExpression returns the least time that a query takes over 16 KiB, and that
// for each step that is counted.
func oneExpression(unit, value string) (perStep, took float64, err error) {
	q, err := largest(byDefault.query, unit)
	if err != nil {
		return 0, 0, err
	}
	events := map[string][]string{"m": {strings.Repeat(value, 16<<10/len(value))}}
	took = math.Inf(1)
	for range expressionRounds {
		began := processorTime()
		if matches, _ := q.Matches(events); matches {
			return 0, 0, fmt.Errorf("%s matches", q)
		}
		took = min(took, processorTime()-began)
	}
	_, steps := q.Weigh(events)
	return took / float64(steps), took, nil
}

// publication returns the least time that one of a value takes, for a server
// with so many queries that next makes.
func publication(budget int64, count int, value string, next func() (*query.Query, error)) (took float64, err error) {
	took = math.Inf(1)
	for range expressionRounds {
		server := pubsub.NewServer(pubsub.ExpressionBudget(budget))
		if err := server.Start(); err != nil {
			return 0, err
		}
		for i := range count {
			q, err := next()
			if err != nil {
				return 0, err
			}
			q = query.And(q, query.MustParse(fmt.Sprintf("k != '%d'", i)))
			if _, err := server.SubscribeWithArgs(context.Background(), pubsub.SubscribeArgs{ClientID: fmt.Sprint(i), Query: q}); err != nil {
				return 0, err
			}
		}
		runtime.GC()
		began := processorTime()
		if err := server.PublishWithEvents(context.Background(), nil, map[string][]string{"m": {value}, "k": {"v"}}); err != nil {
			return 0, err
		}
		took = min(took, processorTime()-began)
		if err := server.Stop(); err != nil {
			return 0, err
		}
	}
	return took, nil
}

// processorTime returns what this program has taken so far, in nanoseconds:
// what else runs on the machine lengthens it less than time on the clock.
func processorTime() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Utime.Nano() + used.Stime.Nano())
}
