package stream

import (
	"time"

	"github.com/harkbus/pubsub/query"
)

// endRights ends subscriptions that a new token gives another view.
var endRights = ending{closePolicyViolation, "the token gives other rights: subscribe again"}

// authenticate is the method of that name: the connection goes on with a new
// token of the same identity, until that one ends. Subscriptions go on, but for
// those that the new token narrows in another way; requests that wait are
// answered.
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
		c.visit.refused(refusedIdentity)
		c.server.config.logDebug("stream: token refused", "connection", c.session.id, "error", err)
		return reply{}, serverError("not authorized")
	case id.expired():
		c.visit.refused(refusedIdentity)
		return reply{}, serverError(endExpired.reason)
	case id.Name != c.visit.identity().Name:
		c.visit.refused(refusedIdentity)
		return reply{}, serverError("the token is another identity's")
	}
	c.session.become(&id)
	return reply{result: emptyResult}, nil
}

// become gives the connection a new identity of the same name.
func (s *session) become(id *Identity) {
	s.visit.who.Store(id)
	s.expect(id.Expires)
	s.endWaiting()
	for _, o := range s.all() {
		if !s.server.seesTheSame(id, o.query, o.narrow) {
			o.end(endRights)
		}
	}
}

// seesTheSame tells whether an identity sees of a query, "" for all there is,
// what narrow says.
func (s *Server) seesTheSame(id *Identity, text string, narrow *query.Query) bool {
	q, err := query.All, error(nil)
	if text != "" {
		q, err = query.New(text)
	}
	if err != nil {
		return false
	}
	now, err := s.narrow(*id, q)
	return err == nil && now.String() == narrow.String()
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
