package redisbridge

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

//go:embed announce.lua
var announceText string

var announceScript = newScript(announceText)

// A control keeps processes informed of what each wants to be sent, in Live,
// and takes answers to this process.
//
//	announce   every 20 ms: has what we ask for changed? then, and before the
//	           lease ends: store it in Redis and tell the control channel
//	subscriber control channel and inbox, on one connection
//	watch      takes what the subscriber hears; loads the whole view after each
//	           reconnection and now and then
type control struct {
	*member
	ask      func() ([]*query.Query, uint64, bool) // what we want now; nil: nothing
	changes  func() uint64
	view     *view // nil: we send everything, or nothing
	answered func(h *header, payload []byte)

	lapsed func() // our lease ended before it could be renewed

	subscribed chan struct{} // closed by first
	first      func()        // once, when the subscriber is up

	heard  chan heard
	reload chan struct{} // capacity 1: the view is to be loaded
	isUp   atomic.Bool   // subscribed
	downs  atomic.Uint64 // how often that ended

	// Of the goroutine of announce.
	current   interest
	announced time.Time // when Redis took it last

	mu      sync.Mutex
	asking  bool                     // the next announcement wants answers
	version uint64                   // announced last
	stored  uint64                   // version of it that Redis has
	seen    map[pubsub.Origin]uint64 // version that a peer has seen
	told    chan struct{}            // closed and replaced when seen or stored changes
	queries int                      // announced; -1: everything
}

// heard is a frame from the control channel.
type heard struct {
	header  header
	payload []byte
}

func newControl(m *member) *control {
	subscribed := make(chan struct{})
	return &control{
		member:     m,
		subscribed: subscribed,
		first:      sync.OnceFunc(func() { close(subscribed) }),
		heard:      make(chan heard, 1024),
		reload:     make(chan struct{}, 1),
		seen:       make(map[pubsub.Origin]uint64),
		told:       make(chan struct{}),
	}
}

// start begins to announce and to watch. The member is ready when all who
// filter what they send have seen the first announcement.
func (c *control) start() {
	c.wg.Go(c.subscriber().run)
	c.wg.Go(c.announce)
	c.wg.Go(c.watch)
	c.wg.Go(func() {
		if c.awaitSeen(c.ctx) == nil {
			c.partReady()
		}
	})
}

func (c *control) subscriber() *subscriber {
	return &subscriber{
		member:   c.member,
		part:     "control",
		channels: []string{c.names.control, c.names.inbox},
		message:  c.hear,
		up: func() {
			c.isUp.Store(true)
			c.first()
			signal(c.reload)
		},
		down: func() {
			c.isUp.Store(false)
			c.downs.Add(1)
			if c.view != nil {
				c.view.close()
			}
		},
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hear sorts what comes on the control line. It must not wait: what does not
// fit is made up for by loading the whole view.
func (c *control) hear(text string) {
	h, payload, err := c.gate.open(text, noPartition)
	if err != nil {
		c.counts.refuse(err)
		return
	}
	switch h.kind {
	case kindInterest:
		select {
		case c.heard <- heard{h, payload}:
		default:
			signal(c.reload)
		}
	case kindSeen:
		c.noteSeen(pubsub.Origin{Name: strings.Clone(h.name), Epoch: h.epoch}, h.first)
	case kindReply:
		c.answered(&h, payload)
	default:
		c.counts.malformed.Add(1)
	}
}

func (c *control) noteSeen(origin pubsub.Origin, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) < c.opt.MaxOrigins || c.seen[origin] > 0 {
		c.seen[origin] = max(c.seen[origin], version)
	}
	c.tellLocked()
}

func (c *control) tellLocked() {
	close(c.told)
	c.told = make(chan struct{})
}

// announce keeps our interest in Redis until the member ends.
func (c *control) announce() {
	poll := time.NewTicker(interestPollInterval)
	defer poll.Stop()
	asked := uint64(0)
	for c.ctx.Err() == nil {
		c.mu.Lock()
		asking := c.asking
		c.mu.Unlock()
		changed := c.current.version == 0 || c.changes != nil && c.changes() != asked
		if changed || asking {
			asked = c.compose(asking)
		}
		if changed || asking || time.Since(c.announced) > c.opt.Lease/3 {
			c.try("announce interests", func(ctx context.Context) (bool, error) {
				err := c.store(ctx, c.interestFrame(&c.current))
				return err == nil, err
			})
			c.confirm()
		}
		select {
		case <-poll.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// compose makes a new version of our interest.
func (c *control) compose(asking bool) (changes uint64) {
	i := interest{version: c.current.version + 1, lease: c.opt.Lease, filters: c.view != nil, answer: asking}
	if c.ask != nil {
		var whole bool
		i.queries, changes, whole = c.ask()
		i.everything = !whole
	}
	c.current = i
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asking = c.asking && !asking
	c.version = i.version
	c.queries = len(i.queries)
	if i.everything {
		c.queries = -1
	}
	return changes
}

// confirm takes note that Redis has our interest. If it could not be renewed
// for longer than the lease, others have forgotten it meanwhile.
func (c *control) confirm() {
	now := time.Now()
	lapsed := !c.announced.IsZero() && now.Sub(c.announced) > c.opt.Lease
	c.announced = now
	c.mu.Lock()
	c.stored = c.current.version
	c.tellLocked()
	c.mu.Unlock()
	if lapsed && c.lapsed != nil && c.ctx.Err() == nil {
		c.lapsed()
	}
}

// store keeps our interest in Redis, for those who come, and tells those who
// are there. An empty frame says goodbye.
func (c *control) store(ctx context.Context, frame string) error {
	client, err := c.awaitLayout(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	member := originText(c.origin)
	keys := []string{c.names.members, c.names.interest + member}
	args := []string{member, frame, millis(c.opt.Lease)}
	err = client.Do(ctx, client.B().Evalsha().Sha1(announceScript.hash).Numkeys(2).Key(keys...).Arg(args...).Build()).Error()
	if hasCode(err, "NOSCRIPT") {
		err = client.Do(ctx, client.B().Eval().Script(announceScript.text).Numkeys(2).Key(keys...).Arg(args...).Build()).Error()
	}
	if err != nil {
		return err
	}
	if frame == "" {
		goodbye := interest{version: c.current.version + 1, closing: true}
		frame = c.interestFrame(&goodbye)
	}
	_, err = c.send(ctx, client, c.names.control, frame)
	return err
}

// goodbye tells others that this process asks for nothing any more.
func (c *control) goodbye() {
	if !c.link.isUp() || c.announced.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	_ = c.store(ctx, "")
}

// send publishes a note and returns how many heard it.
func (m *member) send(ctx context.Context, client rueidis.Client, channel, frame string) (int64, error) {
	return client.Do(ctx, m.link.publishing(client, channel, frame)).AsInt64()
}

// watch keeps the view until the member ends.
func (c *control) watch() {
	again := time.NewTicker(c.opt.Lease / 2)
	defer again.Stop()
	for {
		select {
		case h := <-c.heard:
			c.apply(h)
		case <-c.reload:
			c.load()
		case <-again.C:
			c.load()
		case <-c.ctx.Done():
			return
		}
	}
}

func (c *control) apply(h heard) {
	i, err := parseInterest(&h.header, h.payload)
	if err != nil {
		c.counts.malformed.Add(1)
		return
	}
	if c.view != nil {
		c.learn(i)
	}
}

// learn applies an interest of another process, and tells it so if it asks.
func (c *control) learn(i *interest) {
	if i.origin != c.origin && c.view.apply(i, time.Now()) && i.answer {
		c.answerSeen(i)
	}
}

// answerSeen tells a process that its interest has been seen: what is packed
// from now on is chosen with it in mind.
func (c *control) answerSeen(i *interest) {
	c.try("answer interests", func(ctx context.Context) (bool, error) {
		client, err := c.link.get(ctx)
		if err != nil {
			return true, err
		}
		ctx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		frame := string(finish(c.noteHeader(kindSeen, i.version, false), 0, c.sign))
		_, err = c.send(ctx, client, namesOfNamespace(c.opt.Namespace, i.origin).inbox, frame)
		return true, err
	})
}

// load reads the interests of all processes. Only after that the view is
// complete.
func (c *control) load() {
	if c.view == nil {
		return
	}
	c.try("load interests", func(ctx context.Context) (bool, error) {
		downs := c.downs.Load()
		all, err := c.loadAll(ctx)
		if err != nil {
			return false, err
		}
		for _, i := range all {
			c.learn(i)
		}
		c.view.expire(time.Now())
		c.view.complete(func() bool { return c.isUp.Load() && c.downs.Load() == downs })
		return true, nil
	})
}

// loadAll reads the interests that are stored.
func (c *control) loadAll(ctx context.Context) (all []*interest, err error) {
	client, err := c.awaitLayout(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	members, err := client.Do(ctx, client.B().Zrange().Key(c.names.members).Min("0").Max("-1").Build()).AsStrSlice()
	if err != nil || len(members) == 0 {
		return nil, err
	}
	if len(members) > c.opt.MaxOrigins {
		return nil, errors.New("more processes than Options.MaxOrigins")
	}
	keys := make([]string, len(members))
	for i, member := range members {
		keys[i] = c.names.interest + member
	}
	for chunk := range slices.Chunk(keys, 256) {
		frames, err := client.Do(ctx, client.B().Mget().Key(chunk...).Build()).ToArray()
		if err != nil {
			return nil, err
		}
		for i := range frames {
			if text, err := frames[i].ToString(); err == nil { // nil: the lease ended
				all = c.appendParsed(all, text)
			}
		}
	}
	return all, nil
}

func (c *control) appendParsed(all []*interest, text string) []*interest {
	h, payload, err := c.gate.open(text, noPartition)
	if err != nil {
		c.counts.refuse(err)
		return all
	}
	if i, err := parseInterest(&h, payload); err == nil && h.kind == kindInterest {
		return append(all, i)
	}
	c.counts.malformed.Add(1)
	return all
}

// awaitSeen waits until all processes that filter what they send have seen what
// we ask for now.
func (c *control) awaitSeen(ctx context.Context) error {
	select {
	case <-c.subscribed: // or answers would be lost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	c.asking = c.ask != nil // who asks for nothing needs no answer
	want := c.version + 1
	if c.ask == nil {
		want = 1
	}
	c.mu.Unlock()
	retry := time.NewTicker(10 * interestPollInterval)
	defer retry.Stop()
	for {
		c.mu.Lock()
		told, stored := c.told, c.stored >= want
		c.mu.Unlock()
		if stored {
			if c.ask == nil {
				return nil
			}
			if all, err := c.loadAll(ctx); err == nil && c.haveSeen(all, want) {
				return nil
			}
		}
		select {
		case <-told:
		case <-retry.C: // the answer may have been lost
			c.mu.Lock()
			c.asking = c.ask != nil
			c.mu.Unlock()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *control) haveSeen(all []*interest, version uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(all, func(i *interest) bool {
		return i.filters && i.origin != c.origin && c.seen[i.origin] < version
	})
}

func (c *control) addTo(s *InterestStats) {
	if c.view != nil {
		c.view.addTo(s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Announced = c.queries
}
