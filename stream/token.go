package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/harkbus/pubsub/query"
)

// TokenConfig says which JSON Web Tokens are accepted.
type TokenConfig struct {
	// Algorithms are the only ones accepted, "ES256" for instance. There is no
	// default, and "none" is refused.
	Algorithms []string

	// Key returns the key to verify a token with; kid is what its header says,
	// "" if nothing. The type is what golang-jwt expects for the algorithm:
	// []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey.
	Key func(algorithm, kid string) (any, error)

	Audience string        // must be in the token's "aud"; not empty
	Issuer   string        // must be the token's "iss", if not empty
	Leeway   time.Duration // for clocks that differ; default none

	// PublishClaim and SubscribeClaim name the claims that give rights; see
	// Narrow and AllowPublish of Tokens. "" gives everybody the right.
	PublishClaim   string
	SubscribeClaim string

	// PresenceClaim names the claim that gives the right to see who subscribes;
	// see Presence of Tokens. "" gives everybody the right.
	PresenceClaim string

	// AdminClaim is the name of a claim that makes its bearer an
	// administrator if it is true; "" is nobody.
	AdminClaim string
}

// Tokens identifies requests by a bearer token in the header "Authorization",
// or, for clients that cannot send one, in the path:
//
//	/token/TOKEN/v1/websocket   is served as   /v1/websocket
//
// A token must have "exp", "aud" and "sub", which is the name of the identity,
// and "nbf" and "iat" hold if it has them. Connections end when their token
// does. Use it as
//
//	tokens, err := stream.NewTokens(stream.TokenConfig{…})
//	server, err := stream.New(bus, stream.Config{Identify: tokens.Identify, …})
//	http.Serve(listener, tokens.Handler(server))
type Tokens struct {
	config TokenConfig
	parser *jwt.Parser
}

// NewTokens returns an error that names the field that is wrong.
func NewTokens(c TokenConfig) (*Tokens, error) {
	switch {
	case len(c.Algorithms) == 0:
		return nil, errors.New("stream: TokenConfig.Algorithms is empty: name those that are accepted")
	case slices.ContainsFunc(c.Algorithms, func(a string) bool { return jwt.GetSigningMethod(a) == nil || strings.EqualFold(a, "none") }):
		return nil, fmt.Errorf("stream: TokenConfig.Algorithms has one that is unknown or no signature: %q", c.Algorithms)
	case c.Key == nil:
		return nil, errors.New("stream: TokenConfig.Key is nil")
	case c.Audience == "":
		return nil, errors.New("stream: TokenConfig.Audience is empty: tokens for other services would be accepted")
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(c.Algorithms), jwt.WithAudience(c.Audience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(c.Leeway),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	return &Tokens{config: c, parser: jwt.NewParser(options...)}, nil
}

// errNoToken is the error of a request without a token.
var errNoToken = errors.New("stream: the request has no token")

// Identify implements Config.Identify.
func (t *Tokens) Identify(r *http.Request) (Identity, error) {
	text, ok := r.Context().Value(pathToken{}).(string)
	if !ok {
		text, ok = bearer(r)
	}
	if !ok {
		return Identity{}, errNoToken
	}
	return t.Refresh(text)
}

// Refresh implements Config.Refresh.
func (t *Tokens) Refresh(text string) (Identity, error) {
	var claims jwt.MapClaims
	if _, err := t.parser.ParseWithClaims(text, &claims, t.key); err != nil {
		return Identity{}, fmt.Errorf("stream: the token is refused: %w", err)
	}
	return t.identity(claims)
}

func (t *Tokens) key(token *jwt.Token) (any, error) {
	if _, critical := token.Header["crit"]; critical { // RFC 7515, section 4.1.11: nothing that it can name is understood
		return nil, errors.New("stream: the token has a critical header")
	}
	kid, _ := token.Header["kid"].(string)
	return t.config.Key(token.Method.Alg(), kid)
}

func (t *Tokens) identity(claims jwt.MapClaims) (Identity, error) {
	subject, err := claims.GetSubject()
	if err != nil || subject == "" {
		return Identity{}, errors.New("stream: the token has no subject")
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return Identity{}, errors.New("stream: the token has no expiry")
	}
	admin, _ := claims[t.config.AdminClaim].(bool)
	return Identity{
		Name:    subject,
		Admin:   admin && t.config.AdminClaim != "",
		Expires: expires.Add(t.config.Leeway),
		Claims:  claims,
		parsed:  &parsedRights{byClaim: map[string][]right{}},
	}, nil
}

func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// pathToken is the context key of a token that was in the path.
type pathToken struct{}

// PathTokenPrefix begins a path that has a token in it.
const PathTokenPrefix = "/token/"

// Handler takes a token out of the path before next sees the request: neither
// a topic's name nor a log nor an error has it.
func (t *Tokens) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), PathTokenPrefix)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		token, path, _ := strings.Cut(rest, "/")
		clean, err := url.Parse("/" + path)
		if err != nil || clean.Host != "" {
			http.Error(w, "the path is no path", http.StatusBadRequest)
			return
		}
		r2 := r.Clone(context.WithValue(r.Context(), pathToken{}, token))
		r2.URL.Path, r2.URL.RawPath = clean.Path, clean.RawPath
		r2.RequestURI = r2.URL.RequestURI()
		next.ServeHTTP(w, r2)
	})
}

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
	seen, all := either(rights, func(r right) *query.Query { return r.query })
	switch {
	case all:
		return q, nil
	case seen == nil:
		return nil, errors.New("the token gives no right to subscribe")
	}
	return query.And(q, seen), nil
}

// AllowPublish implements Config.AllowPublish: an identity publishes what
// PublishClaim gives it; without the claim nothing, and as an administrator
// everything. Queries that take long run the cheapest first, as far as rightSteps
// reach; beyond that the publication is refused.
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
	var scale query.Scale
	scale.Put(shown)
	var long []longRight
	for _, r := range rights {
		if r.all {
			return nil
		}
		if r.topic != (topic != "") { // a right to topics is none to events, and the other way round
			continue
		}
		matches, steps := scale.Weigh(r.query)
		switch {
		case steps > 0:
			long = append(long, longRight{r.query, steps})
		case matches:
			return nil
		}
	}
	return allowedAtLength(long, shown)
}

// rightSteps is how many steps one publication may spend on the rights of its
// token: what hark serve lets it spend on one query, 0.11 s at most.
const rightSteps = 16_000_000

// A longRight is a query that takes steps.
type longRight struct {
	query *query.Query
	steps int64
}

// allowedAtLength returns nil if one of the rights gives what is asked for.
func allowedAtLength(rights []longRight, events map[string][]string) error {
	slices.SortStableFunc(rights, func(a, b longRight) int { return cmp.Compare(a.steps, b.steps) })
	left := int64(rightSteps)
	for _, r := range rights {
		if left -= r.steps; left < 0 {
			return errors.New("the rights of the token take too long on this publication")
		}
		if ok, err := r.query.Matches(events); err == nil && ok {
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
	seen, all := either(rights, func(r right) *query.Query { return r.presence })
	if seen == nil && !all {
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

// either returns what of gives for one right or another, nil if there are none;
// all is true, and the query nil, if one of them is to everything.
func either(rights []right, of func(right) *query.Query) (seen *query.Query, all bool) {
	for _, r := range rights {
		switch {
		case r.all:
			return nil, true
		case seen == nil:
			seen = of(r)
		default:
			seen = query.Or(seen, of(r))
		}
	}
	return seen, false
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
