package redisbridge

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/internal/backoff"
)

// A member is one process in a namespace: what a Bridge and a Reader have in
// common. It owns the connection and all goroutines.
//
//	run ─┬─ dial, then watchLayout
//	     ├─ notices.run                      callbacks that may take their time
//	     ├─ outbound.pack ─▶ outbound.write  per partition, if it sends
//	     ├─ liveReader or streamReader ─▶ inbound.run    per partition, if it receives
//	     └─ interest.announce, .watch, inbox: see there
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

	ctx    context.Context // ends all goroutines
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	control  *control  // nil: nothing to announce or to learn
	requests *requests // nil: in a Reader

	laidOut chan struct{} // closed when the layout in Redis was found to be ours

	mu       sync.Mutex
	waiting  int           // parts that are not ready yet
	ready    chan struct{} // closed when all have been ready once
	stopping bool
	failed   error         // what ended the member
	done     chan struct{} // closed when failed is set, or by close
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
		laidOut: make(chan struct{}),
		waiting: 1, // the layout
		ready:   make(chan struct{}),
		done:    make(chan struct{}),
	}
	m.names = namesOfNamespace(o.Namespace, m.origin)
	m.link = newLink(o.Redis, m.names.probe)
	m.opt.Keys = prepare(o.Keys)
	if len(m.opt.Keys) > 0 {
		m.sign = &m.opt.Keys[0]
	}
	m.gate = gate{namespace: o.Namespace, keys: m.opt.Keys, maxFrame: o.MaxFrame, maxHops: o.MaxHops}
	m.notes = newNotices(o.OnError, o.OnDrop)
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	return m, nil
}

// start begins to connect. It is called after all parts are expected.
func (m *member) start() {
	m.wg.Go(func() { m.notes.run(m.ctx) })
	if m.control != nil {
		m.expect(1)
		m.control.start()
	}
	m.wg.Go(func() {
		m.try("connect", func(ctx context.Context) (bool, error) {
			err := m.link.dial(ctx)
			return err == nil, err
		})
		m.watchLayout()
	})
}

// stop ends all goroutines and waits for them.
func (m *member) stop() {
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	m.cancel(ErrClosed)
	m.wg.Wait()
	if m.control != nil {
		m.control.goodbye()
	}
	m.link.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finishLocked(ErrClosed)
}

// fail ends the member for a reason that trying again cannot cure.
func (m *member) fail(err error) {
	m.cancel(err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finishLocked(err)
}

func (m *member) finishLocked(err error) {
	if m.failed == nil {
		m.failed = err
		close(m.done)
	}
}

func (m *member) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// launch starts a goroutine later than start. It does nothing once the member
// has ended.
func (m *member) launch(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopping && m.failed == nil {
		m.wg.Go(f)
	}
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
// key to lay it out anew, when no process uses the namespace.
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
// Redis may be deleted, and another process may lay the namespace out anew.
func (m *member) watchLayout() {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	checked := false
	for {
		m.try("layout", func(ctx context.Context) (bool, error) {
			err := m.checkLayout(ctx)
			if _, wrong := err.(*LayoutError); wrong {
				m.fail(err)
			}
			return err == nil, err
		})
		if m.ctx.Err() == nil && !checked {
			checked = true
			close(m.laidOut)
			m.partReady()
		}
		select {
		case <-ticker.C:
		case <-m.ctx.Done():
			return
		}
	}
}

// checkLayout writes the layout if there is none and compares it with ours.
func (m *member) checkLayout(ctx context.Context) error {
	client, err := m.link.get(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	want := []string{strconv.Itoa(frameVersion), strconv.Itoa(m.opt.Partitions)}
	key, b := m.names.layout, client.B()
	results := client.DoMulti(ctx,
		b.Hsetnx().Key(key).Field("format").Value(want[0]).Build(),
		b.Hsetnx().Key(key).Field("partitions").Value(want[1]).Build(),
		b.Hmget().Key(key).Field("format", "partitions").Build())
	for _, r := range results {
		if err := r.Error(); err != nil {
			return err
		}
	}
	have, err := results[2].AsStrSlice()
	if err != nil {
		return err
	}
	for i, field := range []string{"format", "partitions"} {
		if i >= len(have) || have[i] != want[i] {
			return &LayoutError{m.opt.Namespace, key, field, have[min(i, len(have)-1)], want[i]}
		}
	}
	return nil
}
