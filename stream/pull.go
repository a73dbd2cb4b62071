package stream

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/wire"
	"github.com/harkbus/pubsub/query"
)

// eventsRequest is what the events method is asked for; ADR 075 of Tendermint.
type eventsRequest struct {
	query      string
	narrow     *query.Query
	weight     int // instructions of its regular expressions, without what narrows it
	maxResults int
	after      history.Cursor
	before     history.Cursor
	hasAfter   bool
	hasBefore  bool
	wait       time.Duration
}

// events is the method of that name: the newest matches of the history, from
// newest to oldest.
//
//	{"items":[{"cursor":…,"data":…,"events":…}, …],
//	 "more":      there is an older match after after_item
//	 "oldest_item", "newest_item": of the history, whatever matches
//	 "gap":       after after_item}
//
// While there is more, the last item's cursor is the before_item of the next
// request. Whoever has got all items goes on with newest_item of the first of
// these answers as the next after_item: what came since is not among the items of
// the others, although their newest_item is newer. Where time is over before all
// has been looked at, newest_item is the place up to which that has been done.
// An answer has at most MaxAnswer bytes, but at least one item if there is one.
func (c *caller) events(_ *rpcRequest, args arguments) (reply, *rpcError) {
	id := c.visit.identity()
	req, fault := c.eventsRequest(args)
	if fault != nil {
		return reply{}, fault
	}
	result, err := c.pull(req)
	now := c.visit.identity()
	switch {
	case now.expired():
		return reply{}, serverError(endExpired.reason)
	case now != id && !c.server.seesTheSame(now, req.query, req.narrow):
		return reply{}, serverError(endRights.reason)
	case c.visit.refusedFor(err) != nil:
		return reply{}, c.pullError(err)
	}
	return reply{result: result}, nil
}

func (c *caller) pullError(err error) *rpcError {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return serverError(refused.text)
	case errors.Is(err, errAnswerFull):
		return serverError(err.Error())
	case c.server.draining.Err() != nil:
		return serverError(wire.Draining)
	}
	return internalError(err.Error())
}

func (c *caller) eventsRequest(args arguments) (req eventsRequest, fault *rpcError) {
	var filter struct {
		Query string `json:"query"`
	}
	var after, before string
	var wait int64
	for name, value := range map[string]any{
		"filter": &filter, "max_results": &req.maxResults, "after_item": &after, "before_item": &before, "wait_time": &wait,
	} {
		if fault := args.decode(name, value); fault != nil {
			return req, fault
		}
	}
	req.maxResults = limited(req.maxResults, c.server.config.MaxResults)
	req.wait = max(0, min(time.Duration(wait), c.server.config.MaxWait))
	err := c.compileFilter(filter.Query, &req)
	if err == nil && after != "" {
		req.hasAfter = true
		req.after, err = c.server.resumePoint(after)
	}
	if err == nil && before != "" {
		req.hasBefore = true
		req.before, err = history.ParseCursor(before)
	}
	if c.visit.refusedFor(err) != nil {
		return req, internalError(err.Error())
	}
	return req, nil
}

// limited returns n, or the most there may be if n is not positive or more.
func limited(n, most int) int {
	if n <= 0 || n > most {
		return most
	}
	return n
}

// compileFilter reads the query of a filter; an empty one matches everything
// that the caller may see.
func (c *caller) compileFilter(text string, req *eventsRequest) (err error) {
	req.query = text
	if text == "" {
		req.narrow, err = c.server.narrow(*c.visit.identity(), query.All)
		return err
	}
	compiled, err := c.server.compile(*c.visit.identity(), text)
	req.narrow, req.weight = compiled.narrow, compiled.instructions
	return err
}

// pull answers a request. Without before_item it waits for matches if there is
// none yet, until the time it was given, and the caller's, are over; then it
// answers with what there is, which may be nothing. What has been looked at once
// is not looked at again.
func (c *caller) pull(req eventsRequest) ([]byte, error) {
	s, h := c.server, c.server.config.History
	if req.hasAfter {
		if err := h.Await(c.waits, req.after); err != nil { // it may be queued yet
			return nil, err
		}
	}
	trial := s.try(req.narrow, history.Last)
	answer, err := c.scan(&req, trial)
	if err != nil || !answer.empty() || req.hasBefore || req.wait == 0 {
		return answer.json, err
	}
	pulls, refused := s.quotas.pulls.hold(c.visit.ip, c.visit.identity().Name, 1)
	if refused != nil {
		return nil, refused
	}
	defer pulls.release()
	if err := s.expressions.take(req.weight); err != nil {
		return nil, err
	}
	defer s.expressions.give(req.weight)
	ctx, cancel := context.WithTimeout(c.waits, req.wait)
	defer cancel()
	sub, err := s.bus.SubscribeWithArgs(context.WithoutCancel(ctx), pubsub.SubscribeArgs{
		ClientID: s.nextID("poll"), Query: req.narrow, Capacity: 1, Overflow: pubsub.DropNewest,
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.bus.UnsubscribeID(context.WithoutCancel(ctx), sub.ID()) }()
	if err := h.Await(ctx, h.Cursor(sub.After())); err == nil {
		if answer, err = c.scan(&req, trial); err != nil || !answer.empty() {
			return answer.json, err // it came before sub
		}
		_, err = sub.Next(ctx)
		s.expressions.noteEnd(err) // what the bus does not run is run over the history
	}
	answer, err = c.scan(&req, trial)
	return answer.json, err
}

// scanned is an answer.
type scanned struct {
	json []byte
	n    int // items
	gap  *history.Gap
}

func (a *scanned) empty() bool { return a.n == 0 && a.gap == nil }

var errAnswerFull = errors.New("the answer is full: ask for this in a request of its own")

// scan collects what the history has now. After an empty answer req asks for
// what comes after it.
func (c *caller) scan(req *eventsRequest, trial *trial) (answer scanned, err error) {
	s := c.server
	h := s.config.History
	after := req.after
	if req.hasAfter {
		if answer.gap = gapAfter(h, after); answer.gap != nil {
			after = answer.gap.To
		}
	}
	oldest, newest := h.Bounds()
	reached := newest.Next() // everything from here on has been looked at
	if req.hasBefore {
		reached = req.before
	}
	trial.at = reached
	items, more, whole := append(make([]byte, 0, 512), `{"items":[`...), false, false
	for entry, err := range h.Backward(reached) {
		if err != nil {
			return answer, err
		}
		if whole = req.hasAfter && !after.Before(entry.Cursor); whole {
			break
		}
		ok, err := trial.matches(c.ctx, c.waits, entry)
		if err != nil && c.outOfTime(err) {
			if more = answer.n > 0; more {
				break
			}
			if req.hasAfter && !req.hasBefore {
				newest, whole = after, true
				break
			}
		}
		if err != nil {
			s.expressions.noteEnd(err)
			return answer, err
		}
		reached = entry.Cursor
		if !ok {
			continue
		}
		if more = answer.n == req.maxResults; more {
			break
		}
		item := c.server.item(entry)
		if err := c.charge(len(item)+2, answer.n); err != nil {
			if answer.n == 0 {
				return answer, err
			}
			more = true
			break
		}
		if answer.n++; answer.n > 1 {
			items = append(items, ',')
		}
		items = append(append(append(items, '{'), item...), '}')
	}
	if req.hasAfter && !more && !whole { // the history ended there: it may have lost some of it meanwhile
		answer.gap = joined(answer.gap, gapBetween(h, after, reached))
	}
	answer.json = appendBounds(items, more, h, oldest, newest, answer.gap)
	if answer.empty() {
		req.hasAfter, req.after = true, newest
	}
	return answer, nil
}

// outOfTime tells whether a trial failed because a request may not wait for its
// turn any longer.
func (c *caller) outOfTime(err error) bool {
	return c.waits.Err() != nil && c.ctx.Err() == nil && !tookTooLong(err)
}

// charge takes room for an item of an answer that has n.
func (c *caller) charge(bytes, n int) error {
	if bytes > c.room && (n > 0 || c.answers.n > 0) {
		return errAnswerFull
	}
	if refused := c.answers.more(int64(bytes)); refused != nil {
		return refused
	}
	c.room -= bytes
	return nil
}

// appendBounds appends what comes after the items.
func appendBounds(dst []byte, more bool, h history.History, oldest, newest history.Cursor, gap *history.Gap) []byte {
	dst = strconv.AppendBool(append(dst, `],"more":`...), more)
	dst = append(dst, `,"oldest_item":"`...)
	if oldest != newest {
		dst = first(h, oldest).Append(dst)
	}
	dst = append(newest.Append(append(dst, `","newest_item":"`...)), '"')
	if gap != nil {
		dst = append(append(dst, `,"gap":`...), encodeGap(*gap)...)
	}
	return append(dst, '}')
}

// first returns the cursor of the oldest entry after a place, or the place.
func first(h history.History, after history.Cursor) history.Cursor {
	for entry := range h.Read(after) {
		return entry.Cursor
	}
	return after
}

// gapAfter returns the gap that is just after a cursor, if there is one.
func gapAfter(h history.History, after history.Cursor) *history.Gap {
	for entry := range h.Read(after) {
		return entry.Gap
	}
	return nil
}

// gapBetween returns the gap that is just after a cursor, as far as it is before
// end.
func gapBetween(h history.History, after, end history.Cursor) *history.Gap {
	gap := gapAfter(h, after)
	if gap == nil || gap.To.Before(end) {
		return gap
	}
	clipped := *gap
	clipped.To = end.Previous()
	if clipped.To.Before(clipped.From) {
		return nil
	}
	return &clipped
}

// joined returns one gap for two, of which the second begins where the first
// ends. Either may be nil.
func joined(a, b *history.Gap) *history.Gap {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	both := *a
	both.To = b.To
	return &both
}

// item returns what is between the braces of an item, out of the encoding that
// all share.
func (s *Server) item(entry history.Entry) []byte {
	_, encoded := s.encodings.encode(s.encodings.of(entry.Message), plain)
	return encoded[:len(encoded)-len(`}}`)]
}
