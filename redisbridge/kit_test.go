package redisbridge

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
)

// A side is one process of a test: a server, its bridge, and a proxy before
// Redis.
type side struct {
	*Bridge
	server *pubsub.Server
	proxy  *redistest.Proxy
	gaps   *gapLog
}

type gapLog struct {
	mu   sync.Mutex
	gaps []Gap
}

func (l *gapLog) add(g Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gaps = append(l.gaps, g)
}

func (l *gapLog) all() []Gap {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.gaps)
}

func (l *gapLog) count(r Reason) (n int) {
	for _, g := range l.all() {
		if g.Reason == r {
			n++
		}
	}
	return n
}

// lost sums the publications of all gaps that are counted.
func (l *gapLog) lost() (n int) {
	for _, g := range l.all() {
		if g.Count > 0 {
			n += int(g.Count)
		}
	}
	return n
}

func optionOf(addr string) rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}
}

// join makes a side behind a proxy of its own.
func join(t testing.TB, redis *redistest.Server, o Options) *side {
	t.Helper()
	proxy := redistest.StartProxy(t, redis.Addr)
	redisOption := optionOf(proxy.Addr)
	redisOption.Username, redisOption.Password = o.Redis.Username, o.Redis.Password
	o.Redis = redisOption
	s := joinAt(t, o)
	s.proxy = proxy
	return s
}

// joinTwo makes two sides that are ready, and collects what reaches the second.
func joinTwo(t testing.TB, redis *redistest.Server, o Options) (a, b *side, got *numbers) {
	t.Helper()
	a = join(t, redis, o).awaitReady(t)
	b = join(t, redis, o).awaitReady(t)
	return a, b, b.collect()
}

func joinAt(t testing.TB, o Options) *side {
	t.Helper()
	s := &side{server: startServer(t), gaps: &gapLog{}}
	onGap := o.OnGap
	o.OnGap = func(g Gap) {
		s.gaps.add(g)
		if onGap != nil {
			onGap(g)
		}
	}
	s.Bridge = attach(t, s.server, o)
	return s
}

func (s *side) awaitReady(t testing.TB) *side {
	t.Helper()
	require.NoError(t, s.Ready(within(t, patience)))
	return s
}

// numbers collects the numbers that were published with number.
type numbers struct {
	mu   sync.Mutex
	got  []int
	came chan struct{} // capacity 1
}

// collect takes note of every number that reaches the server from elsewhere.
func (s *side) collect() *numbers {
	n := &numbers{came: make(chan struct{}, 1)}
	s.server.Observe(func(m pubsub.Message) {
		i, ok := m.Data().(int)
		if !ok || m.Origin() == (pubsub.Origin{}) {
			return
		}
		n.mu.Lock()
		n.got = append(n.got, i)
		n.mu.Unlock()
		select {
		case n.came <- struct{}{}:
		default:
		}
	})
	return n
}

func (n *numbers) all() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}

// await waits until done says so of the numbers.
func (n *numbers) await(t testing.TB, done func([]int) bool) []int {
	t.Helper()
	ctx := within(t, patience)
	for {
		if got := n.all(); done(got) {
			return got
		}
		select {
		case <-n.came:
		case <-ctx.Done():
			got := n.all()
			t.Fatalf("only %d numbers came, the last %v", len(got), got[max(0, len(got)-5):])
		}
	}
}

func has(last int) func([]int) bool {
	return func(got []int) bool { return len(got) > 0 && got[len(got)-1] == last }
}

func (s *side) number(t testing.TB, i int) {
	t.Helper()
	require.NoError(t, s.Publish(within(t, patience), i, numberEvents(i)))
}

func numberEvents(i int) map[string][]string {
	return map[string][]string{"tm.event": {"Tx"}, "n": {strconv.Itoa(i)}}
}

func requireInOrder(t testing.TB, from, to int, got []int) {
	t.Helper()
	require.Len(t, got, to-from)
	for i, n := range got {
		require.Equal(t, from+i, n, "at place %d", i)
	}
}

// atRate is how many messages a load test sends, and how fast: the full rate
// without the race detector, a tenth with it.
func atRate(full int) int {
	if raceEnabled {
		return full / 10
	}
	return full
}

// pace publishes numbers at a rate until there are n, from one goroutine.
func (s *side) pace(t testing.TB, n, perSecond int, publish func(i int)) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	began := time.Now()
	for i := 0; i < n; {
		for due := int(time.Since(began).Seconds() * float64(perSecond)); i < min(due, n); i++ {
			publish(i)
		}
		<-ticker.C
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

func background() context.Context { return context.Background() }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// subscribe subscribes on the side's server.
func (s *side) subscribe(t testing.TB, q pubsub.Query) *pubsub.Subscription {
	t.Helper()
	sub, err := s.server.SubscribeWithArgs(background(), pubsub.SubscribeArgs{ClientID: "test", Query: q, Capacity: 1000})
	require.NoError(t, err)
	return sub
}

// tapChannel listens to a channel and returns what returns all that came.
func tapChannel(t *testing.T, redis *redistest.Server, channel string) func() []string {
	t.Helper()
	var mu sync.Mutex
	var all []string
	mux := redismux.New(redismux.FromOption(optionOf(redis.Addr)))
	t.Cleanup(mux.Stop)
	active := make(chan struct{}, 1)
	sub := mux.NewChannelSubscription(func(_ string, message []byte) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, string(message))
	}, nil, func(string) { signal(active) })
	require.NoError(t, sub.Add(channel))
	<-active
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}
