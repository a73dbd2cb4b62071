package pubsub_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// The server does what the model does, step by step and to the message, over
// random histories: queued and inline publications, publishers and readers
// that wait, all policies, all ways to read, stopped and reset at any time.
func TestServerIsAsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := drawHistory(rt)
		var err error
		synctest.Test(t, func(*testing.T) { err = h.play() })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// A history is what happens to a server.
type history struct {
	queue   int // capacity
	started bool
	steps   []step
}

// A step is one act. What its numbers mean depends on the act; they are taken
// modulo what there is.
type step struct {
	act        act
	a, b, c, d int
}

type act struct {
	name   string
	weight int
	do     func(*play, step) string // returns what it did, for people
}

func acts() []act {
	return []act{
		{"subscribe", 10, (*play).subscribe},
		{"publish", 24, (*play).publish},
		{"read", 20, (*play).read},
		{"read batch", 8, (*play).readBatch},
		{"receive", 8, (*play).receive},
		{"open", 2, (*play).open},
		{"unsubscribe", 3, (*play).unsubscribe},
		{"unsubscribe ID", 2, (*play).unsubscribeID},
		{"unsubscribe all", 1, (*play).unsubscribeAll},
		{"interrupt reader", 2, (*play).interruptReader},
		{"interrupt publisher", 3, (*play).interruptPublisher},
		{"time", 3, (*play).time},
		{"observe", 1, (*play).observe},
		{"unobserve", 1, (*play).unobserve},
		{"start", 2, (*play).start},
		{"stop", 1, (*play).stop},
		{"reset", 1, (*play).reset},
	}
}

func drawHistory(rt *rapid.T) history {
	var weighted []act
	for _, a := range acts() {
		weighted = append(weighted, slices.Repeat([]act{a}, a.weight)...)
	}
	number := rapid.IntRange(0, 11)
	one := rapid.Custom(func(rt *rapid.T) step {
		a := weighted[rapid.IntRange(0, len(weighted)-1).Draw(rt, "act")]
		return step{a, number.Draw(rt, "a"), number.Draw(rt, "b"), number.Draw(rt, "c"), number.Draw(rt, "d")}
	})
	return history{
		queue:   rapid.IntRange(0, 3).Draw(rt, "queue"),
		started: rapid.IntRange(0, 4).Draw(rt, "started") > 0,
		steps:   rapid.SliceOfN(one, 0, 100).Draw(rt, "steps"),
	}
}

// A play is a history under way, on the server and on its model.
type play struct {
	server *pubsub.Server
	model  *model
	told   []string // what happened so far

	subs       []*playedSub // ever
	publishers []*publisher // that wait
	observers  []*playedObserver
	data       int
}

type playedSub struct {
	*modelSub
	real    *pubsub.Subscription
	readers []*reader // that wait
	early   <-chan struct{}
}

type reader struct {
	cancel context.CancelFunc
	result chan result
}

type result struct {
	m   pubsub.Message
	err error
}

type publisher struct {
	*publication
	cancel context.CancelFunc
	result chan result
	seq    uint64
}

type playedObserver struct {
	*modelObserver
	seen   []uint64
	remove func()
}

// A differs is how the server differs from its model.
type differs struct{ error }

func (h history) play() (err error) {
	p := &play{
		server: pubsub.NewServer(pubsub.BufferCapacity(h.queue)),
		model:  &model{capacity: h.queue},
	}
	defer p.finish()
	defer func() {
		if r := recover(); r != nil {
			d, ok := r.(differs)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("%w after\n%s", d, strings.Join(p.told, "\n"))
		}
	}()
	p.told = append(p.told, fmt.Sprintf("\tqueue of %d", h.queue))
	if h.started {
		p.told = append(p.told, "\t"+p.start(step{}))
	}
	for _, s := range h.steps {
		p.told = append(p.told, "\t"+s.act.name)
		p.told[len(p.told)-1] += " " + s.act.do(p, s)
		synctest.Wait()
		p.compare()
	}
	return nil
}

// finish leaves nothing behind.
func (p *play) finish() {
	for _, w := range p.publishers {
		w.cancel()
	}
	for _, s := range p.subs {
		for _, r := range s.readers {
			r.cancel()
		}
	}
	p.server.Stop() // it may not be running
	synctest.Wait()
}

// want stops the play if the server is not as it should be.
func want(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		panic(differs{fmt.Errorf("%s: got %v, want %v", what, got, want)})
	}
}

func wantError(what string, got, wanted error) {
	if !errors.Is(got, wanted) {
		panic(differs{fmt.Errorf("%s: got error %v, want %v", what, got, wanted)})
	}
}

// topics are what is subscribed to, and how the model sees that.
var topics = []struct {
	query   pubsub.Query
	matches func(events map[string][]string) bool
}{
	{query.All, func(map[string][]string) bool { return true }},
	{query.Empty{}, func(map[string][]string) bool { return true }},
	{query.MustParse("a = '1'"), func(e map[string][]string) bool { return slices.Contains(e["a"], "1") }},
	{query.MustParse("a = '2'"), func(e map[string][]string) bool { return slices.Contains(e["a"], "2") }},
	{query.MustParse("a EXISTS AND b > 5"), func(e map[string][]string) bool { return len(e["a"]) > 0 && slices.Contains(e["b"], "7") }},
	{query.MustParse("NOT a = '1'"), func(e map[string][]string) bool { return !slices.Contains(e["a"], "1") }},
	{userQuery{"b"}, func(e map[string][]string) bool { return len(e["b"]) > 0 && len(e["a"]) < 2 }},
	{userQuery{"a"}, func(e map[string][]string) bool { return len(e["a"]) == 1 }},
	{named{userQuery{"b"}, "a = '1'"}, func(e map[string][]string) bool { return len(e["b"]) > 0 && len(e["a"]) < 2 }},
}

// A userQuery matches if its key is there. It fails on two values of "a" and
// panics on three.
type userQuery struct{ key string }

func (q userQuery) String() string { return "user query on " + q.key }

func (q userQuery) Matches(events map[string][]string) (bool, error) {
	switch len(events["a"]) {
	case 2:
		return true, errors.New("no idea")
	case 3:
		panic("no idea at all")
	}
	return len(events[q.key]) > 0, nil
}

// named is a query under another one's name.
type named struct {
	pubsub.Query
	name string
}

func (n named) String() string { return n.name }

var published = []map[string][]string{
	nil,
	{},
	{"a": {"1"}},
	{"a": {"2"}},
	{"a": {"1"}, "b": {"7"}},
	{"a": {"2"}, "b": {"3", "7"}},
	{"b": {"7"}},
	{"a": {"1", "2"}, "b": {"7"}},
	{"a": {"1", "2", "3"}},
	{"a": {}},
}

func client(n int) string { return string(rune('A' + n%3)) }

func (p *play) subscribe(s step) string {
	topic := topics[s.b%len(topics)]
	sub := &modelSub{
		client: client(s.a), text: topic.query.String(), matches: topic.matches,
		capacity: s.c % 4, policy: pubsub.Overflow(s.d % 4),
	}
	args := pubsub.SubscribeArgs{ClientID: sub.client, Query: topic.query, Capacity: sub.capacity, Overflow: sub.policy}
	if sub.policy == pubsub.Block && s.d > 5 {
		sub.timeout = time.Second
	}
	args.BlockTimeout = sub.timeout

	subscribe := func() (*pubsub.Subscription, error) { return p.server.SubscribeWithArgs(ctx, args) }
	if sub.capacity == 0 {
		sub.policy, sub.timeout = pubsub.Block, 0
		subscribe = func() (*pubsub.Subscription, error) {
			return p.server.SubscribeUnbuffered(ctx, sub.client, topic.query)
		}
	}
	err := p.model.subscribe(sub)
	real, realErr := subscribe()
	wantError("subscribe", realErr, err)
	if err == nil {
		played := &playedSub{modelSub: sub, real: real}
		if s.d%2 == 0 {
			played.early = real.Canceled()
		}
		p.subs = append(p.subs, played)
		want("client", real.ClientID(), sub.client)
		want("capacity", real.Cap(), sub.capacity)
	}
	return fmt.Sprintf("%d: %s to %q, capacity %d, %v %v: %v", len(p.subs)-1, sub.client, sub.text, sub.capacity, sub.policy, sub.timeout, err)
}

func (p *play) publish(s step) string {
	if !p.model.quiet() {
		p.interruptAll() // with several messages for several readers, all depends on who is faster
	}
	p.data++
	pub := &publication{data: p.data, events: published[s.a%len(published)]}
	pctx, cancel := context.WithCancel(ctx)
	w := &publisher{publication: pub, cancel: cancel, result: make(chan result, 1)}
	args := pubsub.PublishArgs{Data: pub.data, Events: maps.Clone(pub.events)}
	go func() {
		var r result
		w.seq, r.err = p.server.PublishWithArgs(pctx, args)
		w.result <- r
	}()
	synctest.Wait()
	p.model.publish(pub)
	p.publishers = append(p.publishers, w)
	return fmt.Sprintf("%d: %v", pub.data, pub.events)
}

// pick returns one of the last subscriptions, nil if there was none.
func (p *play) pick(n int) (*playedSub, int) {
	if len(p.subs) == 0 {
		return nil, 0
	}
	i := len(p.subs) - 1 - n%min(len(p.subs), 6)
	return p.subs[i], i
}

// read has one reader more, by Next or Messages, who stays if there is
// nothing to read.
func (p *play) read(s step) string {
	sub, i := p.pick(s.a)
	if sub == nil {
		return ""
	}
	next := sub.real.Next
	if s.b%2 == 0 {
		next = func(ctx context.Context) (m pubsub.Message, err error) {
			for m, err = range sub.real.Messages(ctx) {
				break
			}
			return m, err
		}
	}
	if s.c == 0 {
		_, err := next(done)
		wantError("reading with a context that is done", err, context.Canceled)
	}
	rctx, cancel := context.WithCancel(ctx)
	r := &reader{cancel, make(chan result, 1)}
	go func() {
		m, err := next(rctx)
		r.result <- result{m, err}
	}()
	synctest.Wait()

	pub, ok := p.model.read(sub.modelSub)
	switch {
	case ok:
		same("read", r.take(), pub)
	case sub.reason != nil:
		wantError("reading after the end", r.take().err, sub.reason)
	default:
		sub.modelSub.readers++
		sub.readers = append(sub.readers, r)
		if !p.model.quiet() || len(sub.readers) > 2 {
			p.interrupt(sub, r)
		}
	}
	return fmt.Sprintf("%d: %v", i, pub)
}

// take returns what the reader has read.
func (r *reader) take() result {
	select {
	case got := <-r.result:
		r.cancel()
		return got
	default:
		panic(differs{errors.New("a reader waits, with something to read")})
	}
}

func same(what string, got result, p *publication) {
	wantError(what, got.err, nil)
	want(what+": data", got.m.Data(), p.data)
	want(what+": sequence", got.m.Sequence(), p.seq)
	want(what+": events", got.m.Events(), p.events)
}

// readBatch takes what the model has in the buffer at least, and what comes
// into it meanwhile.
func (p *play) readBatch(s step) string {
	sub, i := p.pick(s.a)
	if sub == nil {
		return ""
	}
	batch := make([]pubsub.Message, 1+s.b%4)
	least := min(len(sub.buffer), len(batch))
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var n int
	r := &reader{cancel, make(chan result, 1)}
	go func() {
		var err error
		n, err = sub.real.NextBatch(rctx, batch)
		r.result <- result{err: err}
	}()
	synctest.Wait()

	if least == 0 && sub.pending == nil {
		cancel() // it waits, or it has told the reason
		synctest.Wait()
		wantError("reading a batch of nothing", r.take().err, cmp.Or(sub.reason, context.Canceled))
		return fmt.Sprintf("%d: nothing", i)
	}
	wantError("reading a batch", r.take().err, nil)
	want("reading a batch: the buffer is in it", n >= max(least, 1), true)
	for _, m := range batch[:n] {
		pub, ok := p.model.read(sub.modelSub)
		want("reading a batch: it was in the buffer", ok, true)
		same("read in a batch", result{m: m}, pub)
	}
	return fmt.Sprintf("%d: %d of %d", i, n, len(batch))
}

// receive takes from the channel what is there.
func (p *play) receive(s step) string {
	sub, i := p.pick(s.a)
	if sub == nil || len(sub.readers) > 0 {
		return ""
	}
	out := sub.real.Out()
	synctest.Wait() // a delivery moves to the channel
	var got result
	select {
	case got.m = <-out:
	default:
		got.err = errors.New("nothing there")
	}
	synctest.Wait()
	pub, ok := p.model.read(sub.modelSub)
	want("received something", got.err == nil, ok)
	if ok {
		same("received", got, pub)
	}
	return fmt.Sprintf("%d: %v", i, pub)
}

func (p *play) open(s step) string {
	sub, i := p.pick(s.a)
	if sub == nil {
		return ""
	}
	want("capacity of the channel", cap(sub.real.Out()), sub.capacity)
	return fmt.Sprint(i)
}

func (p *play) unsubscribe(s step) string {
	topic := topics[s.b%len(topics)]
	text := topic.query.String()
	err := p.server.Unsubscribe(ctx, client(s.a), topic.query)
	wantError("unsubscribe", err, p.model.unsubscribe(p.model.find(client(s.a), text)))
	return fmt.Sprintf("%s from %q: %v", client(s.a), text, err)
}

func (p *play) unsubscribeID(s step) string {
	sub, i := p.pick(s.a)
	if sub == nil {
		return ""
	}
	err := p.server.UnsubscribeID(ctx, sub.real.ID())
	wantError("unsubscribe by ID", err, p.model.unsubscribe(sub.modelSub))
	return fmt.Sprintf("%d: %v", i, err)
}

func (p *play) unsubscribeAll(s step) string {
	err := p.server.UnsubscribeAll(ctx, client(s.a))
	wantError("unsubscribe all", err, p.model.unsubscribe(p.model.of(client(s.a))...))
	return fmt.Sprintf("%s: %v", client(s.a), err)
}

func (p *play) interruptReader(s step) string {
	sub, i := p.pick(s.a)
	if sub == nil || len(sub.readers) == 0 {
		return ""
	}
	p.interrupt(sub, sub.readers[s.b%len(sub.readers)])
	return fmt.Sprint(i)
}

func (p *play) interrupt(sub *playedSub, r *reader) {
	r.cancel()
	synctest.Wait()
	wantError("interrupted reader", r.take().err, context.Canceled)
	sub.readers = slices.DeleteFunc(sub.readers, func(o *reader) bool { return o == r })
	sub.modelSub.readers--
}

func (p *play) interruptAll() {
	for _, sub := range p.subs {
		for _, r := range slices.Clone(sub.readers) {
			p.interrupt(sub, r)
		}
	}
}

func (p *play) interruptPublisher(s step) string {
	if len(p.publishers) == 0 {
		return ""
	}
	w := p.publishers[s.a%len(p.publishers)]
	w.cancel()
	p.model.giveUp(w.publication, context.Canceled)
	return fmt.Sprint(w.data)
}

func (p *play) time(s step) string {
	d := time.Duration(s.a%4+1) * 600 * time.Millisecond
	time.Sleep(d) // of the bubble
	p.model.advance(d)
	return d.String()
}

func (p *play) observe(s step) string {
	o := &playedObserver{modelObserver: &modelObserver{}}
	o.remove = p.server.Observe(func(m pubsub.Message) {
		o.seen = append(o.seen, m.Sequence())
		if s.a%2 == 0 {
			panic("an observer gives up")
		}
	})
	p.observers = append(p.observers, o)
	p.model.observers = append(p.model.observers, o.modelObserver)
	return ""
}

func (p *play) unobserve(s step) string {
	if len(p.model.observers) == 0 {
		return ""
	}
	gone := p.model.observers[s.a%len(p.model.observers)]
	for _, o := range p.observers {
		if o.modelObserver == gone {
			o.remove()
			o.remove() // does nothing
		}
	}
	p.model.observers = slices.DeleteFunc(p.model.observers, func(o *modelObserver) bool { return o == gone })
	return ""
}

func (p *play) start(step) string {
	if len(p.model.queue)+len(p.model.waiting) > 0 {
		p.interruptAll()
	}
	err := p.server.Start()
	wantError("start", err, p.model.start())
	return fmt.Sprintf("started: %v", err)
}

func (p *play) stop(s step) string {
	if s.a%2 == 0 && p.model.life == running { // half as often
		return "not"
	}
	err := p.server.Stop()
	wantError("stop", err, p.model.stop())
	return fmt.Sprint(err)
}

func (p *play) reset(step) string {
	ok := p.server.Reset() == nil
	want("reset", ok, p.model.reset())
	return fmt.Sprint(ok)
}

// compare holds everything that can be seen of the server against the model.
func (p *play) compare() {
	p.comparePublishers()
	for i, sub := range p.subs {
		sub.compare(fmt.Sprintf("subscription %d", i))
	}
	for i, o := range p.observers {
		want(fmt.Sprintf("observer %d", i), o.seen, o.modelObserver.seen)
	}
	want("clients", p.server.NumClients(), p.model.clients())
	for n := range 3 {
		want("subscriptions of "+client(n), p.server.NumClientSubscriptions(client(n)), len(p.model.of(client(n))))
	}
	p.compareStats()
}

func (p *play) comparePublishers() {
	left := p.publishers[:0]
	for _, w := range p.publishers {
		what := fmt.Sprintf("publication %d", w.data)
		waits := w.publication.seq == 0 && w.err == nil
		select {
		case r := <-w.result:
			want(what+" waits", false, waits)
			wantError(what, r.err, w.err)
			want(what+": sequence", w.seq, w.publication.seq)
			w.cancel()
		default:
			want(what+" waits", true, waits)
			left = append(left, w)
		}
	}
	p.publishers = left
}

func (s *playedSub) compare(what string) {
	s.compareReaders(what)
	wantError(what+" ended", s.real.Err(), s.reason)
	want(what+": messages in the buffer", s.real.Len(), len(s.buffer))
	want(what+": messages dropped", s.real.Dropped(), s.dropped)
	if s.early != nil {
		want(what+" canceled", isClosed(s.early), s.reason != nil)
	}
	if s.reason != nil {
		want(what+" canceled, asked late", isClosed(s.real.Canceled()), true)
	}
}

// compareReaders asks that as many readers have returned as should, with what
// they should; which reader gets which message is not promised.
func (s *playedSub) compareReaders(what string) {
	var read []pubsub.Message
	left := s.readers[:0]
	for _, r := range s.readers {
		select {
		case got := <-r.result:
			r.cancel()
			if got.err != nil {
				wantError(what+": a reader that waited", got.err, s.reason)
				continue
			}
			read = append(read, got.m)
		default:
			left = append(left, r)
		}
	}
	s.readers = left
	slices.SortFunc(read, func(a, b pubsub.Message) int { return cmp.Compare(a.Sequence(), b.Sequence()) })
	want(what+": readers given a message", len(read), len(s.handed))
	for i, m := range read {
		same(what+": given to a reader", result{m: m}, s.handed[i])
	}
	s.handed = nil
	want(what+": readers that wait", len(s.readers), s.modelSub.readers)
}

func (p *play) compareStats() {
	m, stats := p.model, p.server.Stats()
	want("stats: sequence", stats.Sequence, m.seq)
	want("stats: published", stats.Published, m.published)
	want("stats: matched", stats.Matched, m.matched)
	want("stats: dropped", stats.Dropped, m.dropped)
	want("stats: cut", stats.Cut, m.cut)
	want("stats: clients", stats.Clients, m.clients())
	want("stats: queued", stats.Queued, len(m.queue))
	want("stats: lines", len(stats.Subscriptions), len(m.subs))
	for _, line := range stats.Subscriptions {
		sub := m.find(line.ClientID, line.Query)
		want("stats: line of nobody", sub == nil, false)
		waits := 0
		if sub.pending != nil {
			waits = 1
		}
		want("stats: depth", line.Depth, len(sub.buffer))
		want("stats: matched", line.Matched, sub.matched)
		want("stats: dropped", line.Dropped, sub.dropped)
		want("stats: delivered", line.Delivered, sub.matched-sub.dropped-uint64(len(sub.buffer)+waits))
	}
}
