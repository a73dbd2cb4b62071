package redisbridge

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// A bubble is an embedded server, reached without a network, in fake time: what
// takes a second here takes exactly a second.
type bubble struct{ server *miniredis.Miniredis }

func inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{miniredis.NewMiniRedis()}
		t.Cleanup(b.server.Close)
		test(t, b)
	})
}

// A wire is how one process reaches the server.
type wire struct {
	refuse atomic.Bool // dials fail
	mute   atomic.Bool // every byte is swallowed, both ways
	dials  atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

type wiredConn struct {
	net.Conn
	wire   *wire
	closed atomic.Bool
}

func (c *wiredConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

func (c *wiredConn) Write(p []byte) (int, error) {
	if c.wire.mute.Load() && !c.closed.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *wiredConn) Read(p []byte) (int, error) {
	for {
		if n, err := c.Conn.Read(p); err != nil || !c.wire.mute.Load() {
			return n, err
		}
	}
}

func (b *bubble) option(w *wire) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:       []string{"embedded"},
		ForceSingleClient: true,
		DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
			w.dials.Add(1)
			if w.refuse.Load() {
				return nil, errors.New("refused")
			}
			conn, err := b.server.Dial()
			if err != nil {
				return nil, err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.conns = append(w.conns, conn)
			return &wiredConn{Conn: conn, wire: w}, nil
		},
	}
}

// join makes a side that reaches the server by a wire of its own.
func (b *bubble) join(t *testing.T, o Options) (*side, *wire) {
	t.Helper()
	w := &wire{}
	o.Redis = b.option(w)
	return joinAt(t, o), w
}

// pass lets time pass and what it brings about happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A tapped is a frame that went through the channel, and when.
type tapped struct {
	at     time.Time
	header header
}

// tap listens to the channel of partition 0.
func (b *bubble) tap(t *testing.T, namespace string) func() []tapped {
	t.Helper()
	sub := b.server.NewSubscriber()
	t.Cleanup(sub.Close)
	sub.Subscribe("hark:{" + namespace + "#0}:live")
	var mu sync.Mutex
	var all []tapped
	go func() {
		for m := range sub.Messages() {
			var h header
			_, err := h.parse(m.Message)
			mu.Lock()
			if err == nil {
				all = append(all, tapped{time.Now(), h})
			}
			mu.Unlock()
		}
	}()
	return func() []tapped {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		taken := all
		all = nil
		return taken
	}
}

func TestMarkFollowsTheLastFrameWithinASecondAndComesWithClose(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		o := live("marks")
		o.Lease = 15 * time.Second
		a, _ := b.join(t, o)
		a.awaitReady(t)
		frames := b.tap(t, "marks")
		pass(100 * time.Millisecond)
		frames()
		began := time.Now()
		a.number(t, 1)
		pass(200 * time.Millisecond)
		a.number(t, 2)
		pass(time.Second)
		got := frames()
		require.Len(t, got, 3, "two frames, and one mark after the last of them")
		require.Equal(t, kindMark, got[2].header.kind)
		require.EqualValues(t, 3, got[2].header.first, "the next to come")
		require.Equal(t, markAfter, got[2].at.Sub(began)-200*time.Millisecond)

		pass(o.Lease)
		require.Len(t, frames(), 3, "three times per lease")

		began = time.Now()
		require.NoError(t, a.Close())
		got = frames()
		require.Len(t, got, 1)
		require.True(t, got[0].header.closing)
		require.Equal(t, began, got[0].at, "at once")
	})
}

func TestLeaseThatEndsIsAGapOfUnknownCount(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		o := live("lease")
		o.Lease = 6 * time.Second
		o.CloseTimeout = time.Millisecond
		a, wire := b.join(t, o)
		reader, _ := b.join(t, o)
		a.awaitReady(t)
		reader.awaitReady(t)
		a.number(t, 1)
		pass(time.Second) // the mark after it
		wire.refuse.Store(true)
		wire.cut()
		pass(o.Lease - 2*time.Second)
		require.Empty(t, reader.gaps.all(), "it may still be there")
		pass(2*time.Second + checkEvery)
		require.Equal(t, []Gap{{Reason: Silent, Origin: a.Origin(), Count: Unknown}}, reader.gaps.all())
	})
}

func TestOutboxReportsEachEpisodeOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		var episodes atomic.Int64
		o := durable("episodes")
		o.OutboxCount = 4
		o.OnError = func(err error) {
			if isA[*DropError](err) {
				episodes.Add(1)
			}
		}
		a, wire := b.join(t, o)
		reader, _ := b.join(t, durable("episodes"))
		a.awaitReady(t)
		reader.awaitReady(t)
		got := reader.collect()
		number := 0
		publish := func(n int) {
			for range n {
				number++
				require.NoError(t, a.server.PublishWithEvents(t.Context(), number, nil))
			}
		}
		for episode := range 3 {
			wire.refuse.Store(true)
			wire.cut()
			publish(10)
			pass(time.Minute)
			publish(10)
			synctest.Wait()
			require.EqualValues(t, episode+1, episodes.Load(), "once, however long it lasts")
			wire.refuse.Store(false)
			pass(2 * time.Second)
			require.NoError(t, a.Flush(t.Context()))
		}
		publish(1)
		pass(time.Second)
		require.EqualValues(t, 3, episodes.Load())
		require.EqualValues(t, number, int64(len(got.all()))+int64(reader.gaps.lost()), "each is received or reported")
		require.EqualValues(t, a.Stats().Dropped, reader.gaps.lost())
	})
}

func TestFlushEndsWithItsContextOrWithRedis(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		a, wire := b.join(t, durable("flush"))
		a.awaitReady(t)
		wire.refuse.Store(true)
		wire.cut()
		a.number(t, 1)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := a.Flush(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "refused", "and says what the matter is")
		require.Equal(t, 3*time.Second, time.Since(began))

		flushed := make(chan error, 1)
		go func() { flushed <- a.Flush(context.Background()) }()
		pass(time.Minute)
		require.Empty(t, flushed)
		wire.refuse.Store(false)
		require.NoError(t, <-flushed)
		require.Less(t, time.Since(began), 3*time.Second+time.Minute+2*maxBackoff)
	})
}

// From the last byte that passed until both sides know.
func TestBlackHoleIsNoticedWithin1200Milliseconds(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				writer, writersWire := b.join(t, Options{Mode: mode, SendOnly: true})
				reader, readersWire := b.join(t, Options{Mode: mode, ReceiveOnly: true})
				writer.awaitReady(t)
				reader.awaitReady(t)
				got := reader.collect()
				for _, wire := range []*wire{writersWire, readersWire} {
					wire.mute.Store(true)
				}
				writer.number(t, 1)
				pass(1200 * time.Millisecond)
				require.Positive(t, writer.Stats().Failures)
				require.Positive(t, reader.Stats().Failures)
				for _, wire := range []*wire{writersWire, readersWire} {
					wire.mute.Store(false)
				}
				pass(5 * time.Second)
				writer.number(t, 2)
				pass(time.Second)
				if numbers := got.all(); mode == Durable {
					require.Equal(t, []int{1, 2}, numbers)
				} else {
					require.Contains(t, numbers, 2)
				}
			})
		})
	}
}

// Nobody waits for those who died without a goodbye, though their leases last.
func TestReadyAndAnnounceDoNotWaitForTheDead(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				o := Options{Namespace: "dead", Mode: mode, Lease: time.Hour, CloseTimeout: time.Millisecond}
				for i := range 5 {
					dead, wire := b.join(t, o)
					dead.awaitReady(t).subscribe(t, query.All)
					dead.number(t, i)
					pass(time.Second)
					wire.refuse.Store(true)
					wire.cut()
				}
				began := time.Now()
				a, _ := b.join(t, o)
				require.NoError(t, a.Ready(t.Context()))
				require.NoError(t, a.Announce(t.Context()))
				require.Less(t, time.Since(began), 100*time.Millisecond)
			})
		})
	}
}

// Timeout and KeepAlive say when a connection on which nothing comes is lost.
func TestTimeoutAndKeepAliveSayWhenSilenceIsALoss(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				a, wire := b.join(t, Options{Mode: mode, Timeout: 10 * time.Second, KeepAlive: 2 * time.Second})
				a.awaitReady(t)
				pass(time.Minute)
				require.Zero(t, a.Stats().Failures, "it is idle, not silent")
				wire.mute.Store(true)
				pass(9 * time.Second)
				require.Zero(t, a.Stats().Failures)
				pass(10*time.Second + 2*2*time.Second - 9*time.Second)
				require.Positive(t, a.Stats().Failures)
			})
		})
	}
}

func TestConnectingBacksOffWithFullJitter(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		w := &wire{}
		w.refuse.Store(true)
		o := durable("backoff")
		o.Redis = b.option(w)
		joinAt(t, o)
		pass(time.Hour)
		average := maxBackoff / 2
		require.InDelta(t, float64(time.Hour/average), float64(w.dials.Load()), float64(time.Hour/average)/10)
	})
}

func TestCloseGivesUpAfterItsTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		o := durable("giveup")
		o.CloseTimeout = 7 * time.Second
		a, wire := b.join(t, o)
		a.awaitReady(t)
		wire.mute.Store(true)
		a.number(t, 1)
		began := time.Now()
		require.ErrorContains(t, a.Close(), "1 publications")
		require.GreaterOrEqual(t, time.Since(began), o.CloseTimeout)
		require.Less(t, time.Since(began), o.CloseTimeout+1200*time.Millisecond)
	})
}

// A slowSink takes its time for each publication.
type slowSink struct {
	gapLog
	takes time.Duration
	then  func()
}

func (s *slowSink) receive(ctx context.Context, _ *Received) error {
	time.Sleep(s.takes)
	s.then()
	return context.Cause(ctx)
}

func (s *slowSink) gap(_ context.Context, g Gap, _ position)  { s.add(g) }
func (*slowSink) waiting(int, entryID) (frames, oldest int64) { return 0, 0 }

func (s *slowSink) passed(int, position) {}

// hear runs the receiving side of a Live bridge, without Redis, for a while.
func hear(t *testing.T, s *slowSink, d time.Duration, begin func(say func(frame []byte))) {
	t.Helper()
	m := must(newMember(Options{Redis: optionOf("nowhere:1"), Namespace: "hear", Lease: smallestLease}))
	in := newInbound(m, 0, s)
	reader := newLiveReader(in)
	reader.up()
	begin(func(frame []byte) { reader.message(string(frame)) })
	ended := make(chan struct{})
	go func() { defer close(ended); in.run() }()
	pass(d)
	m.cancel(ErrClosed)
	<-ended
}

// markOf returns a mark of a process whose lease is the smallest.
func markOf(name string) []byte {
	h := header{kind: kindMark, first: 1, stamp: time.Now().UnixMicro(), epoch: 7, name: name, namespace: "hear"}
	return finish(binary.BigEndian.AppendUint32(appendHeader(nil, &h), uint32(smallestLease.Milliseconds())), 0, nil)
}

func TestSilenceIsNoticedWhileTheInboxIsNeverEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowSink{takes: 10 * time.Millisecond}
		hear(t, s, smallestLease+2*checkEvery, func(say func([]byte)) {
			say(markOf("dead"))
			said := 0
			s.then = func() { said++; say(framed("hear", said, 1)) }
			s.then()
		})
		require.Equal(t, []Gap{{Reason: Silent, Origin: pubsub.Origin{Name: "dead", Epoch: 7}, Count: Unknown}}, s.all())
	})
}

// What waits in the inbox behind something slow is a sign of life from when it
// came.
func TestBacklogIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowSink{takes: 2 * smallestLease, then: func() {}}
		hear(t, s, time.Minute, func(say func([]byte)) {
			go func() {
				for i := range 100 {
					say(markOf("alive"))
					say(framed("hear", i+1, 1))
					time.Sleep(smallestLease / 4)
				}
			}()
		})
		require.Empty(t, s.all())
	})
}
