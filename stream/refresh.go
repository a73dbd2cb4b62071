package stream

import (
	"time"

	"github.com/harkbus/pubsub/query"
)

// endRights ends subscriptions that a new token gives another view.
var endRights = ending{closePolicyViolation, "the token gives other rights: subscribe again"}

// authenticate is the method of that name: the connection goes on with a new
// token of the same identity, until that one ends. Subscriptions go on, but for
// those that the new token narrows in another way.
func (c *caller) authenticate(_ *rpcRequest, args arguments) (reply, *rpcError) {
	var token string
	if err := args.decode("token", &token); err != nil {
		return reply{}, err
	}
	refresh := c.server.config.Refresh
	if refresh == nil {
		return reply{}, internalError("there are no tokens here")
	}
	id, err := refresh(token)
	switch {
	case err != nil:
		c.server.config.logDebug("stream: token refused", "connection", c.session.id, "error", err)
		return reply{}, serverError("not authorized")
	case id.expired():
		return reply{}, serverError(endExpired.reason)
	case id.Name != c.visit.identity().Name:
		return reply{}, serverError("the token is another identity's")
	}
	c.session.become(&id)
	return reply{result: emptyResult}, nil
}

// become gives the connection a new identity of the same name.
func (s *session) become(id *Identity) {
	s.visit.who.Store(id)
	s.expect(id.Expires)
	for _, o := range s.all() {
		if !s.seesTheSame(id, o) {
			o.end(endRights)
		}
	}
}

func (s *session) seesTheSame(id *Identity, o *outlet) bool {
	q, err := query.New(o.query)
	if err != nil {
		return false
	}
	narrow, err := s.server.narrow(*id, q)
	return err == nil && narrow.String() == o.narrow.String()
}

// expect sets when the connection ends with its token.
func (c *connection) expect(end time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	if end.IsZero() {
		return
	}
	c.expiry = time.AfterFunc(time.Until(end), func() {
		c.spawn(func() {
			if c.visit.identity().expired() { // it may have been refreshed at the last moment
				c.shutdown(endExpired)
			}
		})
	})
}
