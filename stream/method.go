package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// A method is what a request can call.
type method struct {
	params   []string // names, in the order of an array
	optional []string // names that only a map of parameters has
	required bool     // params must be given
	waits    bool     // the call may wait
	call     func(c *caller, req *rpcRequest, args arguments) (reply, *rpcError)
}

// A caller is who calls a method: over a connection, or in one HTTP request.
type caller struct {
	server  *Server
	visit   *visit
	session *session        // nil: HTTP
	ctx     context.Context // of the call
	waits   context.Context // of what a method waits for; ends earlier
	room    int             // bytes that the answer may have yet
	answers *hold           // the bytes it has
}

func newCaller(v *visit, ctx, waits context.Context) *caller {
	s := v.server
	none := &hold{quota: s.quotas.answers, ip: networkOf(v.ip), identity: v.identity().Name}
	return &caller{server: s, visit: v, ctx: ctx, waits: waits, room: s.config.MaxAnswer, answers: none}
}

// A reply is the result of a method, and what is to be done once the result is
// on its way.
type reply struct {
	result []byte
	then   func()
}

var emptyResult = []byte("{}")

var methods map[string]method

func init() { // the methods refer to the table
	methods = map[string]method{
		"health":          {call: (*caller).health},
		"status":          {call: (*caller).status},
		"events":          {params: []string{"filter", "max_results", "after_item", "before_item", "wait_time"}, waits: true, call: (*caller).events},
		"presence":        {params: []string{"query"}, optional: []string{"topic", "after", "max_results"}, call: (*caller).presence},
		"subscribe":       {params: []string{"query"}, optional: []string{"after", "overflow"}, required: true, call: (*caller).subscribe},
		"authenticate":    {params: []string{"token"}, required: true, call: (*caller).authenticate},
		"unsubscribe":     {params: []string{"query"}, required: true, call: (*caller).unsubscribe},
		"unsubscribe_all": {call: (*caller).unsubscribeAll},
	}
}

// socketMethods need a connection.
var socketMethods = []string{"subscribe", "unsubscribe", "unsubscribe_all", "authenticate"}

// call calls the method of a request.
func (c *caller) call(req *rpcRequest) (reply, *rpcError) {
	m, ok := methods[req.method]
	if !ok || c.session == nil && slices.Contains(socketMethods, req.method) {
		return reply{}, methodNotFound()
	}
	args, err := m.arguments(req.params)
	if err != nil {
		return reply{}, internalError("error converting json params to arguments: " + brief(err))
	}
	req.params = nil // not to be held while the call waits
	return m.call(c, req, args)
}

// arguments are parameters by name.
type arguments map[string]json.RawMessage

// arguments reads the parameters of a request: a map, or an array of all of
// them.
func (m *method) arguments(raw json.RawMessage) (arguments, error) {
	if len(raw) == 0 {
		if m.required {
			return nil, m.wrongCount(nil)
		}
		return nil, nil
	}
	var named arguments
	if err := json.Unmarshal(raw, &named); err == nil {
		return named, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("unknown type for JSON params: %w. Expected map or array", err)
	}
	if len(list) != len(m.params) {
		return nil, m.wrongCount(list)
	}
	named = make(arguments, len(list))
	for i, value := range list {
		named[m.params[i]] = value
	}
	return named, nil
}

func (m *method) wrongCount(list []json.RawMessage) error {
	return fmt.Errorf("expected %d parameters (%v), got %d", len(m.params), m.params, len(list))
}

// decode reads the parameter name into v, which stays as it is if it was not
// given.
func (a arguments) decode(name string, v any) *rpcError {
	raw, ok := a[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return internalError("error converting json params to arguments: " + brief(err))
	}
	return nil
}

func (c *caller) health(*rpcRequest, arguments) (reply, *rpcError) {
	return reply{result: emptyResult}, nil
}

func (c *caller) status(*rpcRequest, arguments) (reply, *rpcError) {
	result, err := json.Marshal(c.server.config.Status())
	if err != nil {
		return reply{}, internalError("stream: status: " + err.Error())
	}
	return reply{result: result}, nil
}

func (c *caller) subscribe(req *rpcRequest, args arguments) (reply, *rpcError) {
	asked := asked{id: req.id, overflow: c.server.config.Overflow}
	if err := args.decode("query", &asked.query); err != nil {
		return reply{}, err
	}
	if _, given := args["after"]; given {
		var after string
		if err := args.decode("after", &after); err != nil {
			return reply{}, err
		}
		if err := asked.from(c.server, after); err != nil {
			return reply{}, internalError(err.Error())
		}
	}
	if err := args.decode("overflow", &asked.overflow); err != nil {
		return reply{}, err
	}
	o, err := c.session.subscribe(asked)
	if err != nil {
		return reply{}, err
	}
	return reply{result: o.framing.(*rpcFraming).accepted(o.at), then: func() { c.session.spawn(o.pump) }}, nil
}

func (c *caller) unsubscribe(_ *rpcRequest, args arguments) (reply, *rpcError) {
	var text string
	if err := args.decode("query", &text); err != nil {
		return reply{}, err
	}
	return reply{result: emptyResult}, c.session.unsubscribe(text)
}

func (c *caller) unsubscribeAll(*rpcRequest, arguments) (reply, *rpcError) {
	return reply{result: emptyResult}, c.session.unsubscribeAll()
}
