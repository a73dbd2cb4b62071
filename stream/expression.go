package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
)

// expressions bounds what the regular expressions of clients may cost, and what
// else takes long where values are many or long (query.Query.Weigh). Each
// query, each connection and all of them have a limit of instructions; the bus
// bounds what they take of a publication, and ends those that are beyond
// (pubsub.ExpressionBudget); and what a client asks of the history is bounded
// here: by steps for each request, of which one at a time is run, so that it
// is never more than one processor that is busy with them.
type expressions struct {
	most  int64
	used  atomic.Int64  // instructions of all subscriptions
	turn  chan struct{} // capacity 1: held while one is run over the history
	ended atomic.Uint64 // subscriptions and requests that ended because of steps
}

// take counts a subscription's instructions, if the limit of all allows them.
func (x *expressions) take(instructions int) error {
	if n := int64(instructions); n > 0 && x.used.Add(n) > x.most {
		x.give(instructions)
		return &limitError{refusedExpressions, fmt.Sprintf("max_expressions %d reached: the regular expressions of all subscriptions may have so many instructions, and these have %d", x.most, n)}
	}
	return nil
}

func (x *expressions) give(instructions int) { x.used.Add(-int64(instructions)) }

// noteEnd counts the end of a subscription or request if it is because of
// regular expressions.
func (x *expressions) noteEnd(err error) {
	if tookTooLong(err) {
		x.ended.Add(1)
	}
}

func tookTooLong(err error) bool {
	var over *expensiveError
	return errors.Is(err, pubsub.ErrExpressionBudget) || errors.As(err, &over)
}

// parse reads a query of a client, of which regular expressions may have fewer
// instructions than in one of the program's own.
func (s *Server) parse(text string) (*query.Query, error) {
	q, err := s.limits().New(text)
	if err != nil {
		return nil, fmt.Errorf("failed to parse query: %w", err)
	}
	return q, nil
}

func (s *Server) limits() query.Limits { return query.Limits{Regexp: s.config.MaxExpression} }

// An expensiveError says that a query has spent its steps on the history.
type expensiveError struct{ at history.Cursor }

func (e *expensiveError) Error() string {
	return "stream: the conditions of the query take too long over the history; go on from cursor " + e.at.String()
}

// A trial looks for the matches of a query in the history. It is for one
// goroutine.
type trial struct {
	server *Server
	query  *query.Query
	light  int64          // steps counted for an entry of which the query looks at little
	left   int64          // steps
	at     history.Cursor // of the last entry that was looked at
	scale  query.Scale
}

func (s *Server) try(q *query.Query, from history.Cursor) *trial {
	return &trial{server: s, query: q, light: lightCondition * int64(len(q.Conditions())), left: s.config.ReplaySteps, at: from}
}

// lightCondition is how many steps a condition counts that is over at once.
const lightCondition = 8

// matches reports whether an entry matches. Its error is an expensiveError, or
// that of waits, until which it waits for its turn, if it needs one; a query
// that fails does not match.
func (t *trial) matches(ctx, waits context.Context, entry history.Entry) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	w := weighing{Query: t.query, scale: &t.scale}
	_, _ = entry.Message.Matches(&w)
	steps := w.steps
	if steps == 0 {
		steps = t.light
	}
	if t.left -= steps; t.left < 0 {
		return false, &expensiveError{t.at}
	}
	t.at = entry.Cursor
	if w.steps == 0 {
		return w.matches, nil
	}
	done, err := t.server.expressions.begin(waits)
	if err != nil {
		return false, err
	}
	defer done()
	return entry.Message.Matches(t.query)
}

// begin waits for the turn to do what takes long, until the context ends. The
// caller calls done when it is over.
func (x *expressions) begin(waits context.Context) (done func(), err error) {
	if err := waits.Err(); err != nil {
		return nil, err
	}
	select {
	case x.turn <- struct{}{}:
		return func() { <-x.turn }, nil
	case <-waits.Done():
		return nil, fmt.Errorf("stream: other queries that take long keep this one waiting: %w", waits.Err())
	}
}

// A weighing is a query that weighs the events that a message shows it.
type weighing struct {
	*query.Query
	scale   *query.Scale
	matches bool
	steps   int64
}

// Matches implements pubsub.Query.
func (w *weighing) Matches(events map[string][]string) (bool, error) {
	w.scale.Put(events)
	defer w.scale.Put(nil)
	w.matches, w.steps = w.scale.Weigh(w.Query)
	return w.matches, nil
}
