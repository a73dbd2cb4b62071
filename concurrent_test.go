package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// Publishers, readers of all kinds and clients that come and go, all at once.
// What an observer has seen tells afterwards what each subscription should
// have got: in order, nothing twice, nothing lost but what its policy drops.
func TestNothingIsLostOrReorderedInACrowd(t *testing.T) {
	for round := range 12 {
		c := crowd{
			server:    newServer(t, pubsub.BufferCapacity(round%3*8)),
			random:    rand.New(rand.NewPCG(1, uint64(round))),
			finishing: round%2 == 0,
		}
		t.Run(fmt.Sprintf("queue=%d/finishing=%v", c.server.BufferCapacity(), c.finishing), c.run)
	}
}

type crowd struct {
	server    *pubsub.Server
	random    *rand.Rand
	finishing bool // publishers finish before the server is stopped

	seen       []pubsub.Message // by the observer
	publishers sync.WaitGroup
	others     sync.WaitGroup
	mu         sync.Mutex
	accepted   []uint64
	accounts   []*account
}

// An account is what one subscription got.
type account struct {
	sub     *pubsub.Subscription
	args    pubsub.SubscribeArgs
	matches func(key string) bool
	from    [2]uint64 // it took effect after one of these sequences
	gone    bool      // unsubscribed before the end
	read    [][]uint64
	reason  error
}

var keys = map[string]func(key string) bool{
	"":                   func(string) bool { return true },
	"k = '0'":            func(key string) bool { return key == "0" },
	"k = '1' OR k > 1.5": func(key string) bool { return key != "0" && key != "" },
}

// onKey is a user-written query.
type onKey string

func (q onKey) String() string { return "on key " + string(q) }
func (q onKey) Matches(events map[string][]string) (bool, error) {
	if slices.Contains(events["k"], "2") {
		return false, errors.New("no idea")
	}
	return slices.Contains(events["k"], string(q)), nil
}

const (
	crowdPublishers   = 4
	crowdPublications = 150 // of each
)

func (c *crowd) run(t *testing.T) {
	middle := make(chan struct{})
	c.server.Observe(func(m pubsub.Message) {
		c.seen = append(c.seen, m)
		if m.Sequence() == crowdPublishers*crowdPublications/2 {
			close(middle)
		}
	})
	c.server.Observe(func(pubsub.Message) { panic("nobody minds") })
	readings := []reading{byNext, byBatch, byMessages, byOut}
	for i := range 36 {
		policy := pubsub.Overflow(i % 4)
		a := c.subscribe(t, fmt.Sprint("reader ", i), []int{1, 3, 1000}[i/4%3], policy, i%5 == 4 && policy == pubsub.Block)
		readers := 1
		if i%6 == 0 {
			readers = 3
		}
		for range readers {
			c.reader(a, readings[c.random.IntN(len(readings))])
		}
	}
	last := subscribe(t, c.server, "last", "last EXISTS", 1, pubsub.Block)

	quit := make(chan struct{})
	for i := range 2 {
		c.others.Go(func() { c.comeAndGo(t, i, quit) })
	}
	c.others.Go(func() { c.lookAround(quit) })
	for i := range crowdPublishers {
		c.publishers.Go(func() { c.publish(i) })
	}
	if c.finishing {
		c.publishers.Wait()
		publish(t, c.server, 0, "last", "!")
		next(t, last)
		c.accepted = append(c.accepted, c.server.Stats().Sequence)
	}
	<-middle
	require.NoError(t, c.server.Stop())
	c.publishers.Wait()
	close(quit)
	c.others.Wait()
	c.audit(t)
}

// subscribe opens an account.
func (c *crowd) subscribe(t *testing.T, client string, capacity int, policy pubsub.Overflow, unbuffered bool) *account {
	c.mu.Lock()
	texts := []string{"", "k = '0'", "k = '1' OR k > 1.5"}
	text := texts[c.random.IntN(len(texts))]
	user := c.random.IntN(5) == 0
	c.mu.Unlock()

	a := &account{matches: keys[text]}
	a.args = pubsub.SubscribeArgs{ClientID: client, Query: parse(text), Capacity: capacity, Overflow: policy}
	if user {
		a.args.Query, a.matches = onKey("0"), keys["k = '0'"]
	}
	var err error
	a.from[0] = c.server.Stats().Sequence
	if unbuffered {
		a.sub, err = c.server.SubscribeUnbuffered(ctx, client, a.args.Query)
	} else {
		a.sub, err = c.server.SubscribeWithArgs(ctx, a.args)
	}
	a.from[1] = c.server.Stats().Sequence
	if errors.Is(err, pubsub.ErrServerStopped) {
		return nil
	}
	require.NoError(t, err)
	c.mu.Lock()
	c.accounts = append(c.accounts, a)
	c.mu.Unlock()
	return a
}

// reader reads to the end.
func (c *crowd) reader(a *account, read reading) {
	c.others.Go(func() {
		var all []uint64
		reason := read(ctx, a.sub, func(m pubsub.Message) bool {
			all = append(all, m.Sequence())
			return true
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		a.read, a.reason = append(a.read, all), reason
	})
}

func (c *crowd) publish(publisher int) {
	for i := range crowdPublications {
		key := strconv.Itoa((publisher + i) % 4)
		seq, err := c.server.PublishWithArgs(ctx, pubsub.PublishArgs{
			Data: [2]int{publisher, i}, Events: map[string][]string{"k": {key}},
		})
		if err != nil {
			return
		}
		c.mu.Lock()
		c.accepted = append(c.accepted, seq)
		c.mu.Unlock()
	}
}

// comeAndGo subscribes, reads a little and unsubscribes, again and again.
func (c *crowd) comeAndGo(t *testing.T, who int, quit <-chan struct{}) {
	client := fmt.Sprint("guest ", who)
	for i := 0; !isClosed(quit); i++ {
		a := c.subscribe(t, client, 1+i%5, pubsub.Overflow(i%4), i%7 == 0)
		if a == nil {
			return
		}
		var all []uint64
		a.reason = byNext(ctx, a.sub, func(m pubsub.Message) bool {
			all = append(all, m.Sequence())
			return len(all) < i%9
		})
		a.gone = true
		switch i % 3 {
		case 0:
			c.server.Unsubscribe(ctx, client, a.args.Query) // it may have ended
		case 1:
			c.server.UnsubscribeID(ctx, a.sub.ID())
		case 2:
			c.server.UnsubscribeAll(ctx, client)
		}
		tail, reason := sequences(a.sub)
		a.read, a.reason = [][]uint64{append(all, tail...)}, reason
	}
}

// lookAround calls what looks at everything.
func (c *crowd) lookAround(quit <-chan struct{}) {
	for !isClosed(quit) {
		remove := c.server.Observe(func(pubsub.Message) {})
		for _, s := range c.server.Stats().Subscriptions {
			if s.Depth > s.Capacity || s.Matched < s.Delivered+s.Dropped+uint64(s.Depth) {
				panic(fmt.Sprintf("%+v", s))
			}
		}
		c.server.UnsubscribeID(ctx, ^uint64(0)) // nobody has it
		remove()
	}
}

func (c *crowd) audit(t *testing.T) {
	for i, m := range c.seen {
		require.EqualValues(t, i+1, m.Sequence(), "an observer sees every publication, in order")
	}
	slices.Sort(c.accepted)
	require.Len(t, c.seen, len(c.accepted), "what was accepted was dispatched, and nothing else")
	for i, seq := range c.accepted {
		require.EqualValues(t, i+1, seq, "each sequence is given once")
	}
	c.auditPublishers(t)
	for _, a := range c.accounts {
		c.auditAccount(t, a)
	}
	require.Zero(t, c.server.NumClients())
}

// A publisher's own publications keep their order.
func (c *crowd) auditPublishers(t *testing.T) {
	next := [crowdPublishers]int{}
	for _, m := range c.seen {
		if data, ok := m.Data().([2]int); ok {
			require.Equal(t, next[data[0]], data[1])
			next[data[0]]++
		}
	}
}

func (c *crowd) auditAccount(t *testing.T, a *account) {
	what := fmt.Sprintf("%s, capacity %d, %v, to %v", a.args.ClientID, a.args.Capacity, a.args.Overflow, a.args.Query)
	all := []uint64{}
	for _, one := range a.read {
		require.IsIncreasing(t, append([]uint64{0}, one...), what)
		all = append(all, one...)
	}
	slices.Sort(all)
	require.Equal(t, slices.Compact(slices.Clone(all)), all, "%s: nothing comes twice", what)

	should := c.matching(a, a.from[0])
	first := 0
	if len(all) > 0 {
		first = slices.Index(should, all[0])
		require.GreaterOrEqual(t, first, 0, "%s: it gets nothing from before it subscribed", what)
	}
	if a.lossless(c) {
		begin := slices.IndexFunc(should, func(seq uint64) bool { return seq > a.from[1] })
		require.True(t, len(all) == 0 || begin < 0 || first <= begin, "%s: it begins where it took effect", what)
		require.Equal(t, should[first:first+len(all)], all, "%s: no gap", what)
	} else {
		require.True(t, isPart(all, should), "%s: it gets only what matches", what)
	}
	if a.gone {
		return
	}
	should = c.matching(a, a.from[1])
	switch a.reason { // returned bare
	case pubsub.ErrServerStopped:
		require.EqualValues(t, len(should), len(all)+int(a.sub.Dropped()), "%s: what is missing was counted", what)
	case pubsub.ErrOutOfCapacity:
		require.Equal(t, pubsub.Cancel, a.args.Overflow, what)
		require.EqualValues(t, 1, a.sub.Dropped(), what)
		require.Equal(t, should[:len(all)], all, "%s: all before the overflow", what)
		require.Less(t, len(all), len(should), what)
	default:
		require.Fail(t, "unexpected reason", "%s: %v", what, a.reason)
	}
}

// matching returns what an account should have got of the publications after
// one, never nil.
func (c *crowd) matching(a *account, after uint64) []uint64 {
	all := []uint64{}
	for _, m := range c.seen {
		if m.Sequence() <= after {
			continue
		}
		key := ""
		for key = range m.Values("k") {
		}
		if a.matches(key) {
			all = append(all, m.Sequence())
		}
	}
	return all
}

// lossless tells whether what was read must be without a gap.
func (a *account) lossless(c *crowd) bool {
	switch a.args.Overflow {
	case pubsub.Cancel:
		return true
	case pubsub.Block: // while stopping, a message that finds no room is dropped
		return c.finishing || a.gone && errors.Is(a.reason, pubsub.ErrUnsubscribed)
	}
	return false
}

// isPart tells whether all, which rises, is in whole, which does too.
func isPart(all, whole []uint64) bool {
	for _, seq := range whole {
		if len(all) > 0 && all[0] == seq {
			all = all[1:]
		}
	}
	return len(all) == 0
}

// A reading reads messages until the end, whose reason it returns, or until
// yield returns false, and then returns nil.
type reading func(ctx context.Context, sub *pubsub.Subscription, yield func(pubsub.Message) bool) error

func byNext(ctx context.Context, sub *pubsub.Subscription, yield func(pubsub.Message) bool) error {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if !yield(m) {
			return nil
		}
	}
}

func byBatch(ctx context.Context, sub *pubsub.Subscription, yield func(pubsub.Message) bool) error {
	for batch := make([]pubsub.Message, 3); ; {
		n, err := sub.NextBatch(ctx, batch)
		if err != nil {
			return err
		}
		for _, m := range batch[:n] {
			if !yield(m) {
				return nil // what is left in the batch is lost
			}
		}
	}
}

func byMessages(ctx context.Context, sub *pubsub.Subscription, yield func(pubsub.Message) bool) error {
	for m, err := range sub.Messages(ctx) {
		if err != nil {
			return err
		}
		if !yield(m) {
			return nil
		}
	}
	return errors.New("Messages ended without an error")
}

// byOut is what code does that selects.
func byOut(ctx context.Context, sub *pubsub.Subscription, yield func(pubsub.Message) bool) error {
	for {
		select {
		case m := <-sub.Out():
			if !yield(m) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-sub.Canceled():
			return tail(sub, yield)
		}
	}
}

// tail reads what is left in the channel of a subscription that has ended.
func tail(sub *pubsub.Subscription, yield func(pubsub.Message) bool) error {
	for {
		select {
		case m := <-sub.Out():
			if !yield(m) {
				return nil
			}
		default:
			return sub.Err()
		}
	}
}

// sequences reads to the end.
func sequences(sub *pubsub.Subscription) (all []uint64, reason error) {
	reason = byMessages(ctx, sub, func(m pubsub.Message) bool {
		all = append(all, m.Sequence())
		return true
	})
	return all, reason
}

// The same subscription, made by many at once, is made once.
func TestOneOfManyIdenticalSubscribesSucceeds(t *testing.T) {
	server := newServer(t)
	for range 50 {
		var made, refused int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := server.Subscribe(ctx, "c", query.MustParse("a = 1"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					made++
				} else if errors.Is(err, pubsub.ErrAlreadySubscribed) {
					refused++
				}
			})
		}
		wg.Wait()
		require.Equal(t, [2]int{1, 7}, [2]int{made, refused})
		require.NoError(t, server.UnsubscribeAll(ctx, "c"))
	}
}
