package stream

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/harkbus/pubsub/query"
)

// Claims give rights: a string, or a list of them, each
//
//	"*"                      everything
//	"/a/b"                   a topic
//	"/a/*"                   all topics below a path
//	"tm.event = 'Tx'"        what the query matches
//
// One that is there and has nothing gives no right.

// Narrow implements Config.Narrow: an identity sees what SubscribeClaim gives
// it; without the claim, or for an administrator, everything.
func (t *Tokens) Narrow(id Identity, q *query.Query) (*query.Query, error) {
	claim, given := id.Claims[t.config.SubscribeClaim]
	if t.config.SubscribeClaim == "" || !given || id.Admin {
		return q, nil
	}
	rights, err := id.rightsOf(claim, t.config.SubscribeClaim)
	if err != nil {
		return nil, err
	}
	var seen *query.Query
	for _, r := range rights {
		switch {
		case r.all:
			return q, nil
		case seen == nil:
			seen = r.query
		default:
			seen = query.Or(seen, r.query)
		}
	}
	if seen == nil {
		return nil, errors.New("the token gives no right to subscribe")
	}
	return query.And(q, seen), nil
}

// AllowPublish implements Config.AllowPublish: an identity publishes what
// PublishClaim gives it; without the claim nothing, and as an administrator
// everything.
func (t *Tokens) AllowPublish(id Identity, topic string, events map[string][]string) error {
	if t.config.PublishClaim == "" || id.Admin {
		return nil
	}
	rights, err := id.rightsOf(id.Claims[t.config.PublishClaim], t.config.PublishClaim)
	if err != nil {
		return err
	}
	shown := events
	if topic != "" {
		shown = map[string][]string{TopicKey: {topic}}
	}
	for _, r := range rights {
		if r.all {
			return nil
		}
		if r.topic != (topic != "") { // a right to topics is none to events, and the other way round
			continue
		}
		if ok, err := r.query.Matches(shown); err == nil && ok {
			return nil
		}
	}
	return errors.New("the token gives no right to publish this")
}

// Presence implements Config.Presence: an identity sees who subscribes to what
// PresenceClaim gives it; without the claim nothing, and as an administrator
// everything. A query in the claim is for those who subscribe to it.
func (t *Tokens) Presence(id Identity) (*query.Query, error) {
	if t.config.PresenceClaim == "" || id.Admin {
		return nil, nil
	}
	rights, err := id.rightsOf(id.Claims[t.config.PresenceClaim], t.config.PresenceClaim)
	if err != nil {
		return nil, err
	}
	var seen *query.Query
	for _, r := range rights {
		switch {
		case r.all:
			return nil, nil
		case seen == nil:
			seen = r.presence
		default:
			seen = query.Or(seen, r.presence)
		}
	}
	if seen == nil {
		return nil, errors.New("the token gives no right to see who subscribes")
	}
	return seen, nil
}

// A right is one element of a claim.
type right struct {
	all   bool
	topic bool // it is of topics
	query *query.Query

	presence *query.Query // of those who subscribe to that
}

// parsedRights are the rights of one token, each claim read when it is first
// asked for: a publication to many topics asks again and again.
type parsedRights struct {
	mu      sync.Mutex
	byClaim map[string][]right
}

// rightsOf returns the rights that a claim of the identity gives.
func (id *Identity) rightsOf(claim any, name string) ([]right, error) {
	if id.parsed == nil { // it was not made by Tokens
		return parseRights(claim)
	}
	id.parsed.mu.Lock()
	defer id.parsed.mu.Unlock()
	if rights, ok := id.parsed.byClaim[name]; ok {
		return rights, nil
	}
	rights, err := parseRights(claim)
	if err == nil {
		id.parsed.byClaim[name] = rights
	}
	return rights, err
}

func parseRights(claim any) (rights []right, err error) {
	var list []any
	switch c := claim.(type) {
	case nil:
	case string:
		list = []any{c}
	case []any:
		list = c
	default:
		return nil, fmt.Errorf("stream: a claim of rights is %T, and must be a string or a list of strings", claim)
	}
	for _, element := range list {
		text, ok := element.(string)
		if !ok {
			return nil, fmt.Errorf("stream: a claim of rights has %T, and must have strings", element)
		}
		r, err := parseRight(text)
		if err != nil {
			return nil, err
		}
		rights = append(rights, r)
	}
	return rights, nil
}

func parseRight(text string) (r right, err error) {
	prefix, below := strings.CutSuffix(text, "/*")
	switch {
	case text == "*":
		return right{all: true}, nil
	case strings.HasPrefix(text, "/") && below:
		r.topic = true
		quoted := strings.ReplaceAll(prefix+"/", "'", "''")
		limits := query.Limits{Length: len(text)*2 + 64}
		if r.query, err = limits.New(TopicKey + " STARTSWITH '" + quoted + "'"); err == nil {
			r.presence, err = limits.New(PresenceTopicKey + " STARTSWITH '" + quoted + "'")
		}
	case strings.HasPrefix(text, "/"):
		r.topic = true
		if r.query, err = topicQuery(text); err == nil {
			r.presence, err = equalTo(PresenceTopicKey, text)
		}
	default:
		if r.query, err = query.New(text); err == nil {
			r.presence, err = equalTo(PresenceQueryKey, r.query.String())
		}
	}
	if err != nil {
		return right{}, fmt.Errorf("stream: a claim of rights: %w", err)
	}
	return r, nil
}
