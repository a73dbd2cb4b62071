package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/internal/backoff"
	"github.com/harkbus/pubsub/redismux"
)

// A member is one process in a namespace: what a Bridge and a Reader have in
// common. It owns the connections and all goroutines.
//
//	dial, then watchLayout
//	notices.run                                  callbacks that may take their time
//	packer.run ─▶ writer.run, writer.keep        per partition, if it sends
//	streamReader or redismux ─▶ inbound.run      per partition, if it receives
type member struct {
	opt    Options // with defaults
	origin pubsub.Origin
	names  namespaceNames
	gate   gate
	sign   *Key // nil: nothing is signed
	codecs codec.Set
	link   *link
	counts counters
	notes  *notices
	clock  clock
	beat   beat

	ctx    context.Context // ends all goroutines
	cancel context.CancelCauseFunc
	crew   *crew

	laidOut chan struct{} // closed when the layout in Redis was found to be ours
	laid    bool          // laidOut is closed; of the goroutine of watchLayout
	since   string        // when it was laid out; written before laidOut is closed

	mu      sync.Mutex
	mux     *redismux.Multiplexer // nil until something is subscribed
	waiting int                   // parts that are not ready yet
	ready   chan struct{}         // closed when all have been ready once
	failed  error                 // what ended the member
	ended   func(error)           // called once, with failed; nil: nobody needs it
	done    chan struct{}         // closed when failed is set
}

func newMember(o Options) (*member, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &member{
		opt:     o,
		origin:  pubsub.Origin{Name: o.Name, Epoch: newEpoch()},
		codecs:  codec.SetWith(o.Codec),
		crew:    newCrew(),
		laidOut: make(chan struct{}),
		waiting: 1, // the layout
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
	}
	m.beat.clock = &m.clock
	m.beat.sent, m.beat.back = make([]int64, o.Partitions), make([]int64, o.Partitions)
	m.names = namesOfNamespace(o.Namespace, m.origin)
	m.link = newLink(&o, m.names.probe)
	m.opt.Keys = prepare(o.Keys)
	if len(m.opt.Keys) > 0 {
		m.sign = &m.opt.Keys[0]
	}
	m.gate = gate{namespace: o.Namespace, keys: m.opt.Keys, maxFrame: o.MaxFrame}
	m.notes = newNotices(func(err error) { m.crew.call(func() { o.OnError(err) }) })
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	return m, nil
}

// start begins to connect. It is called after all parts are expected.
func (m *member) start() {
	m.crew.Go(func() { m.notes.run(m.ctx) })
	m.crew.Go(func() {
		m.try("connect", func(ctx context.Context) (bool, error) {
			err := m.link.dial(ctx)
			return err == nil, err
		})
		m.watchLayout()
	})
}

// stop ends all goroutines and waits for them, but for those in a callback.
func (m *member) stop() {
	m.end(ErrClosed)
	m.cancel(ErrClosed)
	m.link.line.Close()
	m.mu.Lock()
	mux := m.mux
	m.mu.Unlock()
	if mux != nil {
		mux.Stop()
	}
	m.crew.wait()
	m.link.close()
}

// fail ends the member for a reason that trying again cannot cure. Everybody is
// notified: OnError, Done, Err, Stats and those who wait.
func (m *member) fail(err error) {
	if m.end(err) {
		m.notes.ended(err)
	}
	m.cancel(err)
}

// end sets why the member has ended, and tells whether that was not known.
func (m *member) end(err error) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return false
	}
	m.failed = err
	if m.ended != nil {
		m.ended(err)
	}
	close(m.done) // who waits for it may attach again
	return true
}

func (m *member) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// keepSubscribed keeps a channel subscribed, on the one connection for all channels
// of a node.
func (m *member) keepSubscribed(l *listener) {
	m.crew.Go(func() {
		if _, err := m.awaitLayout(m.ctx); err != nil {
			return
		}
		if mux := m.multiplexer(); mux != nil {
			l.listen(mux)
		}
	})
}

// multiplexer returns the Multiplexer, nil when the member has ended.
func (m *member) multiplexer() *redismux.Multiplexer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mux == nil && m.failed == nil {
		m.mux = redismux.NewWithOpts(redismux.FromClient(m.link.client), redismux.Options{
			BufferBytes:  max(m.opt.InboxBytes, transitBytes), // beyond it the connection ends
			MinBackOff:   minBackoff,
			MaxBackOff:   maxBackoff,
			ReplyTimeout: time.Minute, // the connection has a deadline on progress
			OnDialError: func(err error) {
				if m.ctx.Err() == nil { // else it is the end's own doing
					m.notes.tell("subscribe", err)
				}
			},
		})
	}
	return m.mux
}

// expect adds n parts that ready waits for.
func (m *member) expect(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting += n
}

// partReady is called once by each part.
func (m *member) partReady() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting--; m.waiting == 0 {
		close(m.ready)
	}
}

// awaitReady waits until all parts have been ready once.
func (m *member) awaitReady(ctx context.Context) error {
	select {
	case <-m.ready:
		return m.err()
	case <-m.done:
		return m.err()
	case <-ctx.Done():
		return fmt.Errorf("redisbridge: not ready: %w%s", context.Cause(ctx), m.notes.lastText())
	}
}

// try calls f until it says that it is done, with full-jitter backoff between
// the calls that return an error. Errors are reported under the name of the
// part, once until it works again: f or who it calls reports that.
func (m *member) try(part string, f func(context.Context) (done bool, err error)) {
	retry := backoff.New(minBackoff, maxBackoff)
	for m.ctx.Err() == nil {
		began := time.Now()
		done, err := f(m.ctx)
		if err == nil {
			m.notes.works(part)
		} else if m.ctx.Err() == nil {
			m.counts.failures.Add(1)
			m.notes.fails(part, err)
		}
		if done {
			return
		}
		if time.Since(began) > steadyAfter {
			retry.Lasted(maxBackoff)
		}
		if err != nil && retry.Wait(m.ctx) != nil {
			return
		}
	}
}

// awaitLayout returns the client once the layout is known to be ours.
func (m *member) awaitLayout(ctx context.Context) (rueidis.Client, error) {
	select {
	case <-m.laidOut:
		return m.link.get(ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A LayoutError says that a namespace is laid out in another way than Options
// say. All processes must agree, or they would not see each other; delete the
// key to lay it out again, when no process uses the namespace.
type LayoutError struct {
	Namespace, Key string
	Field          string // "partitions" or "format"
	Have, Want     string // in Redis, and what this process was told
}

// Error names both values and the key.
func (e *LayoutError) Error() string {
	return fmt.Sprintf("redisbridge: namespace %q has %s %s in Redis (key %s), this process was told %s",
		e.Namespace, e.Field, e.Have, e.Key, e.Want)
}

// watchLayout checks the layout once and then every second: everything in
// Redis may be deleted, and another process may lay the namespace out again.
// Whoever finds another layout when it comes ends. Those that were there go on,
// say so, and put theirs in its place if it is the older one. What nobody of us
// has written is reported and put right, and ends nobody.
func (m *member) watchLayout() {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		m.try("layout", func(ctx context.Context) (bool, error) {
			err := m.checkLayout(ctx)
			if isA[*LayoutError](err) && !m.laid {
				m.fail(err)
			}
			return err == nil || isA[*LayoutError](err), err
		})
		select {
		case <-ticker.C:
		case <-m.ctx.Done():
			return
		}
	}
}

// checkLayout writes the layout if there is none and compares it with ours. On
// the way it sets the clock.
func (m *member) checkLayout(ctx context.Context) error {
	client, err := m.link.get(ctx)
	if err != nil {
		return err
	}
	want := []string{strconv.Itoa(frameVersion), strconv.Itoa(m.opt.Partitions)}
	asked := time.Now()
	have, err := layoutScript.run(ctx, client, []string{m.names.layout}, want[0], want[1], m.since).AsStrSlice()
	if err != nil {
		return err
	}
	if len(have) != 5 {
		return errReply
	}
	var numbers [4]int64
	for i := range numbers {
		if numbers[i], err = strconv.ParseInt(have[i], 10, 64); err != nil {
			return errors.Join(errReply, err)
		}
	}
	m.clock.set(numbers[3], asked, time.Now())
	if malformed := have[4]; malformed != "" {
		m.notes.tell("layout", fmt.Errorf("%.20q of key %s is not a number: the layout was written again", malformed, m.names.layout))
	}
	for i, field := range []string{"format", "partitions"} {
		if have[i] != want[i] {
			return &LayoutError{m.opt.Namespace, m.names.layout, field, have[i], want[i]}
		}
	}
	if !m.laid {
		m.laid, m.since = true, have[2]
		close(m.laidOut)
		m.partReady()
	}
	return nil
}
