package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A node is a service that does what a test wants.
type node struct {
	service.BaseService
	onStart func() error
	onStop  func()
	onReset func() error

	calls   atomic.Int32 // of the three, under way
	starts  atomic.Int32
	stops   atomic.Int32
	resets  atomic.Int32
	overlap atomic.Bool // two of them at once
}

func newNode(log service.Logger) *node {
	n := &node{}
	n.BaseService = *service.NewBaseService(log, "node", n)
	return n
}

func (n *node) alone() (over func()) {
	if n.calls.Add(1) > 1 {
		n.overlap.Store(true)
	}
	return func() { n.calls.Add(-1) }
}

func (n *node) OnStart() error {
	defer n.alone()()
	n.starts.Add(1)
	if n.onStart != nil {
		return n.onStart()
	}
	return nil
}

func (n *node) OnStop() {
	defer n.alone()()
	n.stops.Add(1)
	if n.onStop != nil {
		n.onStop()
	}
}

func (n *node) OnReset() error {
	defer n.alone()()
	n.resets.Add(1)
	if n.onReset != nil {
		return n.onReset()
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestLifeOfAService(t *testing.T) {
	n := newNode(nil)
	require.Equal(t, "node", n.String())
	for range 3 {
		require.False(t, n.IsRunning())
		require.ErrorIs(t, n.Stop(), service.ErrNotStarted)
		require.ErrorContains(t, n.Reset(), "can't reset running node")

		quit := n.Quit()
		require.NoError(t, n.Start())
		require.True(t, n.IsRunning())
		require.ErrorIs(t, n.Start(), service.ErrAlreadyStarted)
		require.ErrorContains(t, n.Reset(), "can't reset running node")
		require.False(t, isClosed(quit))

		require.NoError(t, n.Stop())
		require.False(t, n.IsRunning())
		require.True(t, isClosed(quit))
		n.Wait()
		require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)
		require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)

		require.NoError(t, n.Reset())
		require.False(t, isClosed(n.Quit()), "Reset makes a new channel")
		require.True(t, isClosed(quit))
	}
	require.EqualValues(t, 3, n.starts.Load())
	require.EqualValues(t, 3, n.stops.Load())
	require.EqualValues(t, 3, n.resets.Load())
}

func TestErrorsHaveTheTextsOfTendermint(t *testing.T) {
	require.EqualError(t, service.ErrAlreadyStarted, "already started")
	require.EqualError(t, service.ErrAlreadyStopped, "already stopped")
	require.EqualError(t, service.ErrNotStarted, "not started")
}

func TestServiceThatFailsToStartIsNew(t *testing.T) {
	n := newNode(nil)
	n.onStart = func() error { return errors.New("port in use") }
	require.EqualError(t, n.Start(), "port in use")
	require.False(t, n.IsRunning())
	require.ErrorIs(t, n.Stop(), service.ErrNotStarted)
	n.onStart = nil
	require.NoError(t, n.Start())
	require.NoError(t, n.Stop())
}

func TestServiceThatFailsToResetStaysStopped(t *testing.T) {
	n := newNode(nil)
	require.NoError(t, n.Start())
	require.NoError(t, n.Stop())
	n.onReset = func() error { return errors.New("disk full") }
	require.EqualError(t, n.Reset(), "disk full")
	require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)
	require.True(t, isClosed(n.Quit()))
	n.onReset = nil
	require.NoError(t, n.Reset())
	require.NoError(t, n.Start())
	require.NoError(t, n.Stop())
}

// bare overrides nothing.
type bare struct{ service.BaseService }

func TestServiceWithoutHooksCannotBeReset(t *testing.T) {
	b := &bare{}
	b.BaseService = *service.NewBaseService(nil, "bare", b)
	require.NoError(t, b.Start())
	require.NoError(t, b.Stop())
	require.ErrorIs(t, b.Reset(), service.ErrCannotReset)
}

func TestPanicOfAHookLeavesAStateToGoOnFrom(t *testing.T) {
	n := newNode(nil)
	n.onStart = func() error { panic("start") }
	require.PanicsWithValue(t, "start", func() { n.Start() })
	require.ErrorIs(t, n.Stop(), service.ErrNotStarted)
	n.onStart = nil
	require.NoError(t, n.Start())

	n.onStop = func() { panic("stop") }
	require.PanicsWithValue(t, "stop", func() { n.Stop() })
	n.Wait()
	require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)

	n.onReset = func() error { panic("reset") }
	require.PanicsWithValue(t, "reset", func() { n.Reset() })
	require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)
	n.onReset = nil
	require.NoError(t, n.Reset())
}

// The first Stop waits for OnStop; a second one returns at once; Wait waits.
func TestSecondStopDoesNotWaitAndWaitDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		n.onStop = func() { time.Sleep(time.Minute) }
		require.NoError(t, n.Start())
		begin := time.Now()
		first := make(chan error)
		go func() { first <- n.Stop() }()
		synctest.Wait()
		require.False(t, n.IsRunning())
		require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)
		require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)
		require.Error(t, n.Reset())
		require.False(t, isClosed(n.Quit()))
		require.Zero(t, time.Since(begin))
		n.Wait()
		require.Equal(t, time.Minute, time.Since(begin))
		require.NoError(t, <-first)
	})
}

func TestStopWaitsForStart(t *testing.T) {
	for _, fails := range []error{nil, errors.New("no")} {
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(nil)
				n.onStart = func() error { time.Sleep(time.Minute); return fails }
				started, stopped := make(chan error, 1), make(chan error, 1)
				go func() { started <- n.Start() }()
				synctest.Wait()
				require.True(t, n.IsRunning())
				require.ErrorIs(t, n.Start(), service.ErrAlreadyStarted)
				go func() { stopped <- n.Stop() }()
				synctest.Wait()
				require.Empty(t, stopped)
				require.Zero(t, n.stops.Load())
				require.Equal(t, fails, <-started)
				if fails == nil {
					require.NoError(t, <-stopped)
					n.Wait()
				} else {
					require.ErrorIs(t, <-stopped, service.ErrNotStarted)
				}
			})
		})
	}
}

// A goroutine that OnStart starts may loop while the service is running: it
// does not see false before OnStart has returned, and does once it has failed.
func TestServiceIsRunningWithinOnStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		var fails error
		n.onStart = func() error {
			require.True(t, n.IsRunning())
			go func() {
				for n.IsRunning() {
					time.Sleep(time.Second)
				}
			}()
			time.Sleep(time.Minute)
			return fails
		}
		fails = errors.New("port in use")
		require.Equal(t, fails, n.Start())
		require.False(t, n.IsRunning())
		time.Sleep(time.Minute) // until that goroutine has looked
		fails = nil
		require.NoError(t, n.Start())
		require.True(t, n.IsRunning())
		require.NoError(t, n.Stop())
		require.False(t, n.IsRunning())
		time.Sleep(time.Minute)
	}) // which fails if a goroutine is left
}

// As Tendermint's: OnStop is called within OnStart, and the service is stopped
// whatever OnStart returns.
func TestOnStartMayStop(t *testing.T) {
	for _, fails := range []error{nil, errors.New("port in use")} {
		t.Run(fmt.Sprint(fails), inBubble(func(t *testing.T) {
			n := newNode(nil)
			n.onStart = func() error {
				n.calls.Add(-1) // OnStop is to overlap with this one
				defer n.calls.Add(1)
				require.NoError(t, n.Stop())
				require.EqualValues(t, 1, n.stops.Load())
				require.False(t, n.IsRunning())
				require.True(t, isClosed(n.Quit()))
				require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)
				require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)
				require.ErrorContains(t, n.Reset(), "can't reset running node")
				return fails
			}
			require.Equal(t, fails, n.Start())
			require.False(t, n.IsRunning())
			require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)
			require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)
			n.Wait()
			n.onStart = nil
			require.NoError(t, n.Reset())
			require.NoError(t, n.Start())
			require.NoError(t, n.Stop())
		}))
	}
}

// inBubble runs a test where a wait that never ends is a failure.
func inBubble(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

// Whoever saw the end of a service that stopped itself within OnStart can reset
// it, and OnReset does not overlap with OnStart.
func TestResetWaitsForAnOnStartThatStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		n.onStart = func() error {
			n.calls.Add(-1)
			require.NoError(t, n.Stop())
			n.calls.Add(1)
			time.Sleep(time.Minute)
			return nil
		}
		started := make(chan error)
		go func() { started <- n.Start() }()
		begin := time.Now()
		n.Wait()
		require.Zero(t, time.Since(begin))
		reset := make(chan error)
		go func() { reset <- n.Reset() }()
		require.NoError(t, <-started)
		require.NoError(t, <-reset)
		require.Equal(t, time.Minute, time.Since(begin))
		require.False(t, n.overlap.Load())
	})
}

// A service does not fail because its logger does.
func TestLoggerThatPanicsStopsNothing(t *testing.T) {
	var standard bytes.Buffer
	log.SetOutput(&standard)
	defer log.SetOutput(os.Stderr)
	n := newNode(panicking{})
	require.NoError(t, n.Start())
	require.True(t, n.IsRunning())
	n.Logger.Debug("here")
	n.Logger.Error("here")
	require.NoError(t, n.Stop())
	n.Wait()
	for _, line := range []string{"service started", "here", "service stopped"} {
		require.Contains(t, standard.String(), fmt.Sprintf("service: logger panicked at %q: no room", line))
	}
}

// It may exit the goroutine that calls it.
func TestLoggerThatExitsItsGoroutineStopsNothing(t *testing.T) {
	lines := 0
	n := newNode(logFunc(func(string) {
		lines++
		runtime.Goexit()
	}))
	for range 2 {
		require.NoError(t, n.Start())
		require.True(t, n.IsRunning())
		require.NoError(t, n.Stop())
		n.Wait()
		require.NoError(t, n.Reset())
	}
	require.Equal(t, 4, lines)
}

// It may call the service that calls it.
func TestLoggerMayStopTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // who waits for itself is a deadlock
		n := newNode(nil)
		calls := map[string][]error{}
		var mu sync.Mutex // that of a handler of slog
		n.SetLogger(logFunc(func(msg string) {
			mu.Lock()
			defer mu.Unlock()
			calls[msg] = append(calls[msg], n.Start(), n.Stop())
			n.Wait()
		}))
		require.NoError(t, n.Start())
		require.False(t, n.IsRunning())
		synctest.Wait()
		stopped := service.ErrAlreadyStopped
		require.Equal(t, map[string][]error{
			"service started": {service.ErrAlreadyStarted, nil},
			"service stopped": {stopped, stopped},
		}, calls)
	})
}

// Its handler holds a mutex while it writes. A line that the service itself does
// not write is no different.
func TestLoggerThatHoldsItsLockMayStopTheService(t *testing.T) {
	for _, line := range []string{"service started", "of the program"} {
		t.Run(line, func(t *testing.T) {
			n := newNode(nil)
			stopped, last := make(chan error, 1), make(chan struct{})
			n.SetLogger(slog.New(slog.NewTextHandler(writerFunc(func(text []byte) {
				switch {
				case bytes.Contains(text, []byte(line)):
					stopped <- n.Stop()
				case bytes.Contains(text, []byte("service stopped")):
					close(last)
				}
			}), nil)))
			require.NoError(t, n.Start())
			n.Logger.Info("of the program")
			require.NoError(t, <-stopped)
			n.Wait()
			<-last
		})
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(text []byte) (int, error) { f(text); return len(text), nil }

// Who stops before it has started does not tell that it has.
func TestServiceThatOnStartStopsHasNotStarted(t *testing.T) {
	var lines []string
	n := newNode(logFunc(func(msg string) { lines = append(lines, msg) }))
	n.onStart = func() error { return n.Stop() }
	require.NoError(t, n.Start())
	require.Equal(t, []string{"service stopped"}, lines)
}

// Whoever else calls the service does not wait for a logger that is slow to
// hear of the start.
func TestSlowLoggerKeepsNobodyButWhoStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		n.SetLogger(logFunc(func(msg string) {
			if msg == "service started" {
				time.Sleep(time.Hour)
			}
		}))
		begin := time.Now()
		started := make(chan error)
		go func() { started <- n.Start() }()
		synctest.Wait()
		require.True(t, n.IsRunning())
		require.NoError(t, n.Stop())
		n.Wait()
		require.Zero(t, time.Since(begin))
		require.NoError(t, <-started)
		require.Equal(t, time.Hour, time.Since(begin))
	})
}

// A logFunc is a Logger.
type logFunc func(msg string)

func (f logFunc) Debug(msg string, _ ...any) { f(msg) }
func (f logFunc) Info(msg string, _ ...any)  { f(msg) }
func (f logFunc) Error(msg string, _ ...any) { f(msg) }

// panicking is a Logger that does.
type panicking struct{}

func (panicking) Debug(string, ...any) { panic("no room") }
func (panicking) Info(string, ...any)  { panic("no room") }
func (panicking) Error(string, ...any) { panic("no room") }

// A Reset under way refuses everything else.
func TestNothingHappensDuringReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		n.onReset = func() error { time.Sleep(time.Minute); return nil }
		require.NoError(t, n.Start())
		require.NoError(t, n.Stop())
		reset := make(chan error, 1)
		go func() { reset <- n.Reset() }()
		synctest.Wait()
		require.ErrorIs(t, n.Start(), service.ErrAlreadyStopped)
		require.ErrorIs(t, n.Stop(), service.ErrAlreadyStopped)
		require.Error(t, n.Reset())
		n.Wait()
		require.NoError(t, <-reset)
		require.NoError(t, n.Start())
		require.NoError(t, n.Stop())
	})
}

// All methods at once: hooks never overlap, and each transition happens once.
func TestAllMethodsMayBeCalledConcurrently(t *testing.T) {
	n := newNode(nil)
	var started, stopped, reset atomic.Int32
	count := func(err error, n *atomic.Int32) {
		if err == nil {
			n.Add(1)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 300 {
				count(n.Start(), &started)
				n.SetLogger(slog.New(slog.DiscardHandler))
				n.Logger.Debug("here")
				count(n.Stop(), &stopped)
				_ = n.String()
				count(n.Reset(), &reset)
				n.SetLogger(nil)
				n.IsRunning()
				isClosed(n.Quit())
			}
		})
	}
	wg.Wait()
	if n.IsRunning() {
		require.NoError(t, n.Stop())
		stopped.Add(1)
	}
	require.False(t, n.overlap.Load())
	require.Equal(t, n.starts.Load(), started.Load())
	require.Equal(t, n.stops.Load(), stopped.Load())
	require.Equal(t, n.resets.Load(), reset.Load())
	require.Equal(t, started.Load(), stopped.Load())
	require.GreaterOrEqual(t, stopped.Load(), reset.Load())
}

func TestOneOfManyStopsStops(t *testing.T) {
	n := newNode(nil)
	for range 100 {
		require.NoError(t, n.Start())
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if n.Stop() == nil {
					won.Add(1)
				}
			})
			wg.Go(n.Wait)
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		require.NoError(t, n.Reset())
	}
}

// Embedding copies a BaseService; the copies are one service.
func TestCopiesAreOneService(t *testing.T) {
	n := &node{}
	base := service.NewBaseService(nil, "node", n)
	n.BaseService = *base
	twin := *base
	require.NoError(t, twin.Start())
	require.True(t, n.IsRunning())
	require.True(t, base.IsRunning())
	require.ErrorIs(t, n.Start(), service.ErrAlreadyStarted)

	var log bytes.Buffer
	twin.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	n.Logger.Info("seen by all")
	require.Contains(t, log.String(), "seen by all")
	require.NoError(t, base.Stop())
	require.True(t, isClosed(twin.Quit()))
}

func TestLoggers(t *testing.T) {
	var log bytes.Buffer
	all := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	n := newNode(all)
	n.Logger.Debug("a", "key", 1)
	n.Logger.Info("b", "key", 2)
	n.Logger.Error("c", "key", 3)
	require.NoError(t, n.Start())
	for _, want := range []string{"level=DEBUG msg=a key=1", "level=INFO msg=b key=2", "level=ERROR msg=c key=3", "service started", "service=node"} {
		require.Contains(t, log.String(), want)
	}

	log.Reset()
	n.SetLogger(nil) // quiet
	n.Logger.Debug("a")
	n.Logger.Info("b")
	n.Logger.Error("c")
	require.NoError(t, n.Stop())
	require.Empty(t, log.String())
	n.SetLogger(all)
	require.NoError(t, n.Reset())
	require.NoError(t, n.Start())
	require.NoError(t, n.Stop())
	require.Contains(t, log.String(), "service stopped")
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		n.onStop = func() { time.Sleep(time.Second) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		require.NoError(t, service.Run(ctx, n))
		require.Equal(t, time.Minute+time.Second, time.Since(begin), "it waits for OnStop")
		require.False(t, n.IsRunning())
		require.EqualValues(t, 1, n.stops.Load())
	})
}

func TestRunEndsWhenSomebodyElseStopsTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		n.onStop = func() { time.Sleep(time.Minute) }
		go func() {
			time.Sleep(time.Minute)
			n.Stop()
		}()
		begin := time.Now()
		require.NoError(t, service.Run(t.Context(), n))
		require.Equal(t, 2*time.Minute, time.Since(begin))
		require.EqualValues(t, 1, n.stops.Load())
	})
}

// Both at once, with a Stop that takes its time.
func TestRunEndsOnceWhateverComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(nil)
		n.onStop = func() { time.Sleep(time.Minute) }
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- service.Run(ctx, n) }()
		synctest.Wait()
		go n.Stop()
		synctest.Wait()
		begin := time.Now()
		cancel()
		require.NoError(t, <-over)
		require.Equal(t, time.Minute, time.Since(begin), "it waits for the Stop of the other")
	})
}

// A service that somebody else stops, and resets before Run has seen it, does
// not keep Run.
func TestRunEndsAlthoughTheServiceIsReset(t *testing.T) {
	for range 500 {
		n := newNode(nil)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- service.Run(ctx, n) }()
		for n.Stop() != nil {
			runtime.Gosched()
		}
		require.NoError(t, n.Reset())
		require.NoError(t, <-over)
		cancel()
	}
}

// However early that is.
func TestRunEndsAlthoughTheServiceIsResetAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // Run that waits for a later life is a deadlock
		require.NoError(t, service.Run(context.Background(), brief{newNode(nil)}))
	})
}

// Nor does Run stop that life when its context ends, too.
func TestRunLeavesAnotherLifeAlone(t *testing.T) {
	for range 100 { // select takes any of two
		n := newNode(nil)
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, service.Run(ctx, restarted{n, cancel}))
		require.True(t, n.IsRunning())
		require.NoError(t, n.Stop())
	}
}

// A restarted service has its second life, and nobody waits for it any more, by
// the time Start returns.
type restarted struct {
	*node
	cancel func()
}

func (r restarted) Start() error {
	r.cancel()
	return errors.Join(r.node.Start(), r.node.Stop(), r.node.Reset(), r.node.Start())
}

// A brief service is stopped and reset by the time Start returns.
type brief struct{ *node }

func (b brief) Start() error { return errors.Join(b.node.Start(), b.node.Stop(), b.node.Reset()) }

func TestRunReturnsTheErrorOfStart(t *testing.T) {
	n := newNode(nil)
	n.onStart = func() error { return errors.New("port in use") }
	require.EqualError(t, service.Run(t.Context(), n), "port in use")
}
