package redisbridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/internal/soak"
)

// Several processes publish and receive while everything happens to Redis and to
// the links that can. A model knows what each has accepted, and holds against it
// what the others received and what they were told is missing.
func TestChaos(t *testing.T) {
	for round := range soak.Rounds(t, 4) {
		random := rand.New(rand.NewPCG(round, 0))
		mode := []Mode{Durable, Live}[round%2]
		t.Run(fmt.Sprintf("%v %d", mode, round), func(t *testing.T) {
			before := runtime.NumGoroutine()
			c := newChaos(t, mode, random)
			c.run(8 * time.Second)
			c.heal()
			c.check()
			calm(t, c.redis)
			c.close()
			eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+5 }) // those of the proxies
		})
	}
}

type chaos struct {
	t      *testing.T
	mode   Mode
	random *rand.Rand
	redis  *redistest.Server
	log    []string // of the faults

	mu       sync.Mutex
	accepted map[pubsub.Origin]int // how many each origin has accepted: 1 to that
	sides    []*chaosSide
	ended    []*chaosSide
}

// A chaosSide is one process, from its start to its end.
type chaosSide struct {
	*side
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu   sync.Mutex
	got  map[pubsub.Origin][]int
	gone bool
	late bool // it began after the others
}

func newChaos(t *testing.T, mode Mode, random *rand.Rand) *chaos {
	c := &chaos{t: t, mode: mode, random: random, accepted: make(map[pubsub.Origin]int)}
	c.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	for range 3 {
		c.add()
	}
	return c
}

// add starts a process that publishes 1, 2, 3… until it is stopped.
func (c *chaos) add() {
	s := &chaosSide{got: make(map[pubsub.Origin][]int), late: len(c.log) > 0}
	s.side = join(c.t, c.redis, Options{Namespace: "chaos", Mode: c.mode, Lease: 30 * time.Second, Retention: time.Hour, CloseTimeout: 100 * time.Millisecond})
	s.server.Observe(s.see)
	ctx, cancel := context.WithCancel(background())
	s.stop = cancel
	pause := time.Duration(1+c.random.IntN(4)) * time.Millisecond
	s.wg.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			c.publish(s, n)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	})
	c.sides = append(c.sides, s)
}

func (c *chaos) publish(s *chaosSide, n int) {
	if err := s.Publish(background(), n, nil); err == nil {
		c.mu.Lock()
		c.accepted[s.Origin()] = n
		c.mu.Unlock()
	}
}

func (s *chaosSide) see(m pubsub.Message) {
	if m.Origin() == (pubsub.Origin{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got[m.Origin()] = append(s.got[m.Origin()], m.Data().(int))
}

func (c *chaos) run(d time.Duration) {
	faults := []func() string{c.cut, c.blackHole, c.limit, c.refuse, c.restart, c.pause, c.garbage, c.copies, c.evict, c.flush, c.replace}
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(50+c.random.IntN(250)) * time.Millisecond)
		c.log = append(c.log, faults[c.random.IntN(len(faults))]())
	}
}

func (c *chaos) proxy() *redistest.Proxy { return c.sides[c.random.IntN(len(c.sides))].proxy }

func (c *chaos) moment(most int) { time.Sleep(time.Duration(c.random.IntN(most)) * time.Millisecond) }

func (c *chaos) cut() string { c.proxy().Cut(); return "cut" }

func (c *chaos) blackHole() string {
	p := c.proxy()
	p.Blackhole(true)
	c.moment(1500)
	p.Blackhole(false)
	return "black hole"
}

func (c *chaos) limit() string {
	p := c.proxy()
	p.Limit(20_000 + c.random.IntN(100_000))
	c.moment(1000)
	p.Limit(0)
	return "slow link"
}

func (c *chaos) refuse() string {
	p := c.proxy()
	p.Refuse(c.t, true)
	p.Cut()
	c.moment(500)
	p.Refuse(c.t, false)
	return "refused"
}

func (c *chaos) restart() string { c.redis.Restart(c.t); return "restart" }

func (c *chaos) pause() string {
	c.redis.Pause(c.t)
	c.moment(1500)
	c.redis.Resume(c.t)
	return "pause"
}

func (c *chaos) names() partitionNames { return namesOfPartition("chaos", 0, c.sides[0].Origin()) }

func (c *chaos) garbage() string {
	if c.mode == Live {
		c.redis.Do(c.t, "PUBLISH", c.names().channel, "garbage")
		return "garbage"
	}
	id := "*"
	if c.random.IntN(3) == 0 {
		id = entryID{uint64(time.Now().Add(time.Hour).UnixMilli()), 1}.String()
	}
	_, _ = c.redis.Run("XADD", c.names().stream, id, "f", "garbage", "p", "0-0") // it may be too late for that ID
	return "garbage"
}

func (c *chaos) copies() string {
	if c.mode == Live {
		return "nothing"
	}
	for _, e := range must(c.redis.Do(c.t, "XREVRANGE", c.names().stream, "+", "-", "COUNT", "5").AsXRange()) {
		if e.FieldValues["f"] != "" {
			c.redis.Do(c.t, "XADD", c.names().stream, "*", "f", e.FieldValues["f"], "p", e.FieldValues["p"])
		}
	}
	return "copies"
}

func (c *chaos) evict() string {
	c.redis.Do(c.t, "DEL", c.names().last, c.names().origin, c.sides[0].names.layout)
	return "evicted"
}

func (c *chaos) flush() string {
	if c.random.IntN(3) > 0 {
		return "nothing"
	}
	c.redis.Do(c.t, "FLUSHALL")
	return "FLUSHALL"
}

// replace ends a process and starts another.
func (c *chaos) replace() string {
	i := 1 + c.random.IntN(len(c.sides)-1) // the first sees everything
	s := c.sides[i]
	c.sides = append(c.sides[:i], c.sides[i+1:]...)
	c.end(s)
	c.ended = append(c.ended, s)
	c.add()
	return "another process"
}

func (c *chaos) end(s *chaosSide) {
	s.stop()
	if s.gone {
		return
	}
	s.gone = true
	_ = s.Close() // it may have publications left
	s.wg.Wait()
}

// heal waits until those that are left have all that those that are left have
// published.
func (c *chaos) heal() {
	for _, s := range c.sides {
		require.NoError(c.t, s.Ready(within(c.t, patience)), "%v", c.log)
	}
	for _, s := range c.sides {
		s.stop()
		s.wg.Wait()
	}
	for range 2 { // what comes last shows what is missing before
		for _, s := range c.sides {
			c.publish(s, c.accepted[s.Origin()]+1)
			require.NoError(c.t, s.Flush(within(c.t, patience)), "%v", c.log)
		}
	}
	for _, s := range c.sides {
		for _, other := range c.sides {
			if s != other {
				eventually(c.t, fmt.Sprint("the last one comes, after ", c.log), func() bool {
					if s.last(other.Origin()) == c.accepted[other.Origin()] {
						return true
					}
					if c.mode == Live { // the one before may have come while s was away
						c.publish(other, c.accepted[other.Origin()]+1)
					}
					return false
				})
			}
		}
	}
}

func (s *chaosSide) last(o pubsub.Origin) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.got[o]; len(got) > 0 {
		return got[len(got)-1]
	}
	return 0
}

// check holds what each process received against what was accepted.
func (c *chaos) check() {
	flushed, copied := slices.Contains(c.log, "FLUSHALL"), slices.Contains(c.log, "copies")
	received, reported := 0, 0
	defer func() { c.t.Logf("%d received, %d reported missing; %v", received, reported, c.log) }()
	for _, s := range append(c.sides, c.ended...) {
		s.mu.Lock()
		reported += s.gaps.lost()
		lost := make(map[pubsub.Origin]int)
		for _, g := range s.gaps.all() {
			if g.Reason == Lost {
				lost[g.Origin] += int(g.Count)
			}
			// A copy that comes to a process which began after the original is
			// taken for new, within a minute, and what followed that for missing.
			if c.mode == Durable && !flushed && !(s.late && g.Reason == Lost && copied) {
				c.t.Errorf("a gap though Redis has kept everything: %v; after %v\n%s\n%+v", g, c.log, c.story(g.Origin), s.Stats())
			}
		}
		for origin, got := range s.got {
			for i := 1; i < len(got); i++ {
				if got[i] <= got[i-1] {
					c.t.Fatalf("%d after %d of %s; after %v", got[i], got[i-1], origin.Name, c.log)
				}
			}
			received += len(got)
			first, last := got[0], got[len(got)-1]
			missing := last - first + 1 - len(got)
			if missing > lost[origin] || !s.gone && missing != lost[origin] && first == 1 {
				c.t.Errorf("%d are missing, %d are reported; after %v", missing, lost[origin], c.log)
			}
		}
		s.mu.Unlock()
	}
}

// story returns what the stream has of an origin, an entry a line.
func (c *chaos) story(of pubsub.Origin) string {
	var b strings.Builder
	for _, e := range must(c.redis.Do(c.t, "XRANGE", c.names().stream, "-", "+").AsXRange()) {
		var h header
		if frame := e.FieldValues["f"]; len(frame) > headerSize+2 {
			_, _ = h.parse(frame)
			if h.epoch == of.Epoch && h.name == of.Name && h.first < 50 {
				_, err := (&inbound{member: c.sides[0].member}).admit(frame)
				fmt.Fprintf(&b, "%s after %s: %d and %d more, kind %d, stamp %d, %v\n", e.ID, e.FieldValues["p"], h.first, h.count-1, h.kind, h.stamp, err)
			}
		}
	}
	return b.String()
}

func (c *chaos) close() {
	for _, s := range append(c.sides, c.ended...) {
		c.end(s)
		require.NoError(c.t, s.server.Stop())
		s.proxy.Close()
	}
}
