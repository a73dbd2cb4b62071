package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
)

// eventsRequest is what the events method is asked for; ADR 075 of Tendermint.
type eventsRequest struct {
	narrow     *query.Query
	weight     int // instructions of its regular expressions, without what narrows it
	maxResults int
	after      history.Cursor
	before     history.Cursor
	hasAfter   bool
	hasBefore  bool
	wait       time.Duration
}

// eventsReply is what it answers: items from newest to oldest.
type eventsReply struct {
	Items  []eventItem  `json:"items"`
	More   bool         `json:"more"` // there is an older match after after_item
	Oldest string       `json:"oldest_item"`
	Newest string       `json:"newest_item"`
	Gap    *history.Gap `json:"gap,omitempty"` // after after_item
}

type eventItem struct {
	Cursor string          `json:"cursor"`
	Data   json.RawMessage `json:"data"`
	Events json.RawMessage `json:"events"`
}

// events is the method of that name: the newest matches of the history.
func (c *caller) events(_ *rpcRequest, args arguments) (reply, *rpcError) {
	req, fault := c.eventsRequest(args)
	if fault != nil {
		return reply{}, fault
	}
	answer, err := c.server.pull(c.ctx, req)
	if err != nil {
		return reply{}, internalError(err.Error())
	}
	result, err := json.Marshal(answer)
	if err != nil {
		return reply{}, internalError("stream: events: " + err.Error())
	}
	return reply{result: result}, nil
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
	if err != nil {
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
	if text == "" {
		req.narrow, err = c.server.narrow(c.identity, query.All)
		return err
	}
	compiled, err := c.server.compile(c.identity, text)
	req.narrow, req.weight = compiled.narrow, compiled.instructions
	return err
}

// pull answers a request. Without before_item it waits for matches if there is
// none yet.
func (s *Server) pull(request context.Context, req eventsRequest) (eventsReply, error) {
	trial := s.try(req.narrow, history.Last)
	scan := func() (eventsReply, error) { return s.scan(request, req, &trial) }
	answer, err := scan()
	if err != nil || len(answer.Items) > 0 || answer.Gap != nil || req.hasBefore || req.wait == 0 {
		return answer, err
	}
	if err := s.expressions.take(req.weight); err != nil {
		return answer, err
	}
	defer s.expressions.give(req.weight)
	ctx, cancel := context.WithTimeout(request, req.wait)
	defer cancel()
	sub, err := s.bus.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{
		ClientID: s.nextID("poll"), Query: req.narrow, Capacity: 1, Overflow: pubsub.DropNewest,
	})
	if err != nil {
		return answer, err
	}
	defer func() { _ = s.bus.UnsubscribeID(context.WithoutCancel(ctx), sub.ID()) }()
	if err := s.config.History.Await(ctx, s.config.History.Cursor(sub.After())); err == nil {
		if answer, err = scan(); err != nil || len(answer.Items) > 0 {
			return answer, err // it came before sub
		}
		_, err = sub.Next(ctx)
		s.expressions.noteEnd(err) // what the bus does not run is run over the history
	}
	return scan()
}

// scan collects what the history has now.
func (s *Server) scan(ctx context.Context, req eventsRequest, trial *trial) (eventsReply, error) {
	h := s.config.History
	oldest, newest := h.Bounds()
	answer := eventsReply{Items: []eventItem{}}
	if oldest != newest {
		answer.Oldest, answer.Newest = first(h, oldest).String(), newest.String()
	}
	if req.hasAfter {
		answer.Gap = gapAfter(h, req.after)
	}
	before := history.Last
	if req.hasBefore {
		before = req.before
	}
	for entry, err := range h.Backward(before) {
		switch {
		case err != nil:
			return answer, err
		case req.hasAfter && !req.after.Before(entry.Cursor):
			return answer, nil
		}
		if ok, err := trial.matches(ctx, entry); err != nil {
			s.expressions.noteEnd(err)
			return answer, err
		} else if !ok {
			continue
		}
		if answer.More = len(answer.Items) == req.maxResults; answer.More {
			return answer, nil
		}
		answer.Items = append(answer.Items, s.item(entry))
	}
	return answer, nil
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

// item encodes an entry, out of the encoding that all share.
func (s *Server) item(entry history.Entry) eventItem {
	_, encoded := s.encodings.encode(s.encodings.of(entry.Message), plain)
	data := bytes.Index(encoded, []byte(`,"data":`)) + len(`,"data":`)
	dec := json.NewDecoder(bytes.NewReader(encoded[data:]))
	var value json.RawMessage
	if dec.Decode(&value) != nil {
		value = json.RawMessage("null")
	}
	rest := encoded[data+int(dec.InputOffset()):]
	events := rest[len(`,"events":`) : len(rest)-len(`}}`)]
	return eventItem{Cursor: entry.Cursor.String(), Data: value, Events: events}
}
