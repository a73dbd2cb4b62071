package redisbridge

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

// reported is what OnError was called with.
type reported struct {
	mu   sync.Mutex
	errs []error
}

func (r *reported) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// of counts an error, itself and not what it wraps.
func (r *reported) of(err error) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.errs {
		if e == err {
			n++
		}
	}
	return n
}

// has tells whether an error was reported whose text contains part.
func (r *reported) has(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.errs, func(err error) bool { return strings.Contains(err.Error(), part) })
}

// layOut lays the namespace out with four partitions.
func (b *bubble) layOut(t *testing.T, o Options) {
	t.Helper()
	o.Partitions, o.Route = 4, routeByNumber
	first, _ := b.join(t, o)
	first.awaitReady(t)
}

// However a bridge ends, a second later OnError was called once with the reason
// (but for Close, which the program knows of), and Done, Err, Stats, Publish and
// all others that wait say the same.
func TestAllSignsOfAnEndAgreeWithinASecond(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, b *bubble, o Options, w *wire) // before the bridge comes
		connect bool                                              // it is ready before the end
		end     func(t *testing.T, b *bubble, s *side, w *wire)
		reason  func(t *testing.T, err error)
		silent  bool
	}{
		"another layout": {
			prepare: func(t *testing.T, b *bubble, o Options, _ *wire) { b.layOut(t, o) },
			end:     func(*testing.T, *bubble, *side, *wire) {},
			reason:  func(t *testing.T, err error) { require.True(t, isA[*LayoutError](err), err) },
		},
		"another layout, after an outage": {
			prepare: func(t *testing.T, b *bubble, o Options, w *wire) { w.refuse.Store(true); b.layOut(t, o) },
			end: func(_ *testing.T, _ *bubble, _ *side, w *wire) {
				pass(time.Minute)
				w.refuse.Store(false)
				pass(maxBackoff) // it tries again
			},
			reason: func(t *testing.T, err error) { require.True(t, isA[*LayoutError](err), err) },
		},
		"the server stops": {
			connect: true,
			end:     func(t *testing.T, _ *bubble, s *side, _ *wire) { require.NoError(t, s.server.Stop()) },
			reason:  func(t *testing.T, err error) { require.ErrorIs(t, err, pubsub.ErrServerStopped) },
		},
		"the server stops during an outage": {
			connect: true,
			end: func(t *testing.T, _ *bubble, s *side, w *wire) {
				w.refuse.Store(true)
				w.cut()
				pass(time.Minute)
				require.NoError(t, s.server.Stop())
			},
			reason: func(t *testing.T, err error) { require.ErrorIs(t, err, pubsub.ErrServerStopped) },
		},
		"the server stops before there was a connection": {
			prepare: func(_ *testing.T, _ *bubble, _ Options, w *wire) { w.refuse.Store(true) },
			end:     func(t *testing.T, _ *bubble, s *side, _ *wire) { require.NoError(t, s.server.Stop()) },
			reason:  func(t *testing.T, err error) { require.ErrorIs(t, err, pubsub.ErrServerStopped) },
		},
		"Close": {
			connect: true,
			end:     func(_ *testing.T, _ *bubble, s *side, _ *wire) { _ = s.Close() },
			reason:  func(t *testing.T, err error) { require.ErrorIs(t, err, ErrClosed) },
			silent:  true,
		},
		"Close during an outage": {
			connect: true,
			end: func(_ *testing.T, _ *bubble, s *side, w *wire) {
				w.mute.Store(true)
				pass(time.Minute)
				_ = s.Close() // publications are left
			},
			reason: func(t *testing.T, err error) { require.ErrorIs(t, err, ErrClosed) },
			silent: true,
		},
	} {
		for _, mode := range []Mode{Live, Durable} {
			t.Run(name+", "+mode.String(), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					w := &wire{}
					if c.prepare != nil {
						c.prepare(t, b, Options{Namespace: "end", Mode: mode}, w)
					}
					errs := &reported{}
					s := joinAt(t, Options{Redis: b.option(w), Namespace: "end", Mode: mode, OutboxCount: 1, CloseTimeout: time.Millisecond, OnError: errs.add})
					if c.connect {
						s.awaitReady(t)
						require.True(t, s.Stats().Connected)
						w.mute.Store(true) // who publishes waits for room
					}
					waiting := s.wait(3)
					if c.connect {
						synctest.Wait()
						w.mute.Store(false)
					}
					c.end(t, b, s, w)
					pass(time.Second)
					require.Len(t, waiting, cap(waiting), "nobody waits any more")
					s.requireEnded(t, errs, c.silent)
					c.reason(t, s.Err())
					for range cap(waiting) {
						if err := <-waiting; err != nil {
							require.ErrorIs(t, err, s.Err())
						}
					}
				})
			})
		}
	}
}

// wait has n publishers wait for room in an outbox of one, and others for Ready
// and for a reply.
func (s *side) wait(n int) (results chan error) {
	results = make(chan error, n+2)
	for i := range n {
		go func() { results <- s.Publish(context.Background(), i, nil) }()
	}
	go func() { results <- s.Ready(context.Background()) }()
	go func() {
		_, err := s.Request(context.Background(), nil, nil)
		results <- err
	}()
	return results
}

// requireEnded looks at all signs of the end, at one moment.
func (s *side) requireEnded(t *testing.T, errs *reported, silent bool) {
	t.Helper()
	at := time.Now()
	select {
	case <-s.Done():
	default:
		t.Fatal("Done is open")
	}
	reason := s.Err()
	require.Error(t, reason)
	times := 1
	if silent {
		times = 0
	}
	require.Equal(t, times, errs.of(reason), "OnError")
	require.False(t, s.Stats().Connected, "Stats")
	if !silent {
		require.Equal(t, reason, s.Stats().LastError, "Stats")
	}
	ctx := context.Background()
	require.ErrorIs(t, s.Publish(ctx, 2, nil), reason, "Publish")
	require.ErrorIs(t, s.Flush(ctx), reason)
	require.ErrorIs(t, s.Ready(ctx), reason)
	require.ErrorIs(t, s.Announce(ctx), reason)
	_, err := s.Request(ctx, nil, nil)
	require.ErrorIs(t, err, reason)
	require.Equal(t, at, time.Now(), "nobody waits")
}

// A Reader that comes to another layout says so in all ways, too.
func TestAllSignsOfAReadersEndAgree(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.layOut(t, durable("end"))
		errs := &reported{}
		o := durable("end")
		o.Redis, o.OnError = b.option(&wire{}), errs.add
		r, err := NewReader(o, nil)
		require.NoError(t, err)
		defer r.Close()
		pass(time.Second)
		<-r.Done()
		require.True(t, isA[*LayoutError](r.Err()))
		require.Equal(t, 1, errs.of(r.Err()))
		require.False(t, r.Stats().Connected)
		_, err = r.Next(context.Background())
		require.Equal(t, r.Err(), err)
		require.Equal(t, r.Err(), r.Ready(context.Background()))
		require.Equal(t, r.Err(), r.Close())
	})
}

// Copies of what came back before, or was sent before the clock stepped back,
// prove nothing.
func TestHeartbeatIsOfAFrameThatWasNotSeenBefore(t *testing.T) {
	b := beat{clock: &clock{}, sent: make([]int64, 2), back: make([]int64, 2)}
	counts := func(partition int, stamp int64) bool {
		b.last = Heartbeat{}
		b.cameBack(partition, stamp)
		return b.heartbeat() != Heartbeat{}
	}
	for stamp := range int64(6) {
		b.stamped(0, 10+stamp, false)
	}
	b.stamped(1, 11, false)
	require.True(t, counts(0, 12))
	require.False(t, counts(0, 12), "again")
	require.False(t, counts(0, 11), "an earlier one")
	require.True(t, counts(1, 11), "of another partition")
	require.True(t, counts(0, 13))
	b.stamped(0, 5, true)
	require.False(t, counts(0, 15), "of before the clock stepped")
	require.False(t, counts(0, 4))
	require.True(t, counts(0, 5))
	b.stamped(0, 6, false)
	b.cutOff(0)
	require.False(t, counts(0, 6), "sent while nothing could come back")
}
