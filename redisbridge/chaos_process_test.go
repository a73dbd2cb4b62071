package redisbridge

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

// A chaosOrder says what a process of TestChaos is to be. It comes in the
// environment.
type chaosOrder struct {
	Name, Namespace string
	Mode            Mode
	Partitions      int
	Reads           bool              // a Reader that begins at Cursor, not a Bridge
	Cursor          string            // of a Reader
	Nodes           []string          // of Redis
	Links           map[string]string // by node, the proxy before it
	Pause           time.Duration     // between publications
	Lease           time.Duration
}

const chaosOrderVariable = "HARK_TEST_CHAOS"

// runChaosProcess makes this process one of those of TestChaos, if it was
// started as such, and does not return then.
//
// Commands come through descriptor 3, a line each; what happens goes to
// descriptor 4, a line each as well. What was written there is known, however
// the process ends.
//
//	A partition number               published, from 1 on for each partition
//	F partition number               Redis has acknowledged all up to that
//	R origin partition number        received
//	G gap                            in JSON
//	C cursor                         of a Reader, after what came before this line
//	E text                           an error that was reported; for the story
//	M goroutines bytes               alive
//	ready, quiet, last, ended        done
//	X text                           something that must not happen
func runChaosProcess() {
	text := os.Getenv(chaosOrderVariable)
	if text == "" {
		return
	}
	p := &chaosProcess{out: bufio.NewWriterSize(os.NewFile(4, "out"), 64<<10)}
	if err := json.Unmarshal([]byte(text), &p.chaosOrder); err != nil {
		panic(err)
	}
	p.main(bufio.NewScanner(os.NewFile(3, "in")))
	os.Exit(0)
}

type chaosProcess struct {
	chaosOrder
	routes []string // a routing key of each partition
	server *pubsub.Server
	bridge *Bridge
	reader *Reader
	wg     sync.WaitGroup
	stop   context.CancelFunc // of publishing or reading

	mu        sync.Mutex
	out       *bufio.Writer
	published []int // per partition
}

func (p *chaosProcess) tell(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *chaosProcess) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.out.Flush()
}

func (p *chaosProcess) main(commands *bufio.Scanner) {
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			p.flush()
		}
	}()
	p.published = make([]int, p.Partitions)
	ctx, stop := context.WithCancel(background())
	p.stop = stop
	if p.Reads {
		p.startReading(ctx)
	} else {
		p.startPublishing(ctx)
	}
	for commands.Scan() {
		switch word, rest, _ := strings.Cut(commands.Text(), " "); word {
		case "quiet":
			if !p.Reads {
				p.stop()
				p.wg.Wait()
			}
			p.tell("quiet")
		case "last":
			p.last()
		case "measure":
			p.measure()
		case "clock":
			p.member().clock.offset.Add(int64(must(strconv.Atoi(rest))))
		case "end":
			p.end()
			return
		}
	}
}

func (p *chaosProcess) member() *member {
	if p.Reads {
		return p.reader.member
	}
	return p.bridge.member
}

func (p *chaosProcess) options() Options {
	o := Options{Namespace: p.Namespace, Name: p.Name, Mode: p.Mode, Partitions: p.Partitions, Lease: p.Lease,
		CloseTimeout: 3 * time.Second, Retention: 24 * time.Hour}
	o.Redis = rueidis.ClientOption{InitAddress: p.Nodes, ForceSingleClient: len(p.Nodes) == 1, DialCtxFn: p.dial}
	o.Route = func(m pubsub.Message) string { return m.Events()["route"][0] }
	o.OnGap = p.gap
	o.OnError = func(err error) { p.tell("E %q", err.Error()) }
	return o
}

// dial takes the process's own link to a node.
func (p *chaosProcess) dial(ctx context.Context, addr string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return dialer.DialContext(ctx, "tcp", cmp.Or(p.Links[addr], addr))
}

func (p *chaosProcess) gap(g Gap) { p.tell("G %s", must(json.Marshal(g))) }

func (p *chaosProcess) startReading(ctx context.Context) {
	o := p.options()
	o.Route = nil
	o.From = FromCursor(must(ParseCursor(p.Cursor)))
	p.reader = must(NewReader(o, nil))
	p.wg.Go(func() {
		if p.reader.Ready(ctx) == nil {
			p.tell("ready")
		}
	})
	p.wg.Go(func() {
		for r, err := range p.reader.All(ctx) {
			switch {
			case err != nil:
			case r.Gap != nil:
				p.gap(*r.Gap)
			default:
				p.tell("R %s %d %d", r.Origin.Name, r.Partition, r.Data)
			}
			p.tell("C %s", p.reader.Cursor())
		}
	})
}

func (p *chaosProcess) startPublishing(ctx context.Context) {
	p.server = pubsub.NewServer()
	if err := p.server.Start(); err != nil {
		panic(err)
	}
	p.bridge = must(Attach(p.server, p.options()))
	p.routes = make([]string, p.Partitions)
	for i, left := 0, p.Partitions; left > 0; i++ {
		key := strconv.Itoa(i)
		if at := &p.routes[p.bridge.partitionOf(key)]; *at == "" {
			*at = key
			left--
		}
	}
	p.server.Observe(p.see)
	p.wg.Go(func() {
		if p.bridge.Ready(ctx) == nil {
			p.tell("ready")
		}
	})
	p.wg.Go(func() {
		for ctx.Err() == nil {
			p.publish(ctx, rand.IntN(p.Partitions))
			select {
			case <-time.After(p.Pause):
			case <-ctx.Done():
			}
		}
	})
	p.wg.Go(func() {
		for ctx.Err() == nil {
			p.acknowledged(ctx)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
}

func (p *chaosProcess) see(m pubsub.Message) {
	if m.Origin() != (pubsub.Origin{}) {
		p.tell("R %s %s %d", m.Origin().Name, m.Events()["partition"][0], m.Data())
	}
}

// publish publishes the next number of a partition.
func (p *chaosProcess) publish(ctx context.Context, partition int) {
	p.mu.Lock()
	n := p.published[partition] + 1
	p.mu.Unlock()
	events := map[string][]string{"route": {p.routes[partition]}, "partition": {strconv.Itoa(partition)},
		"pad": {strings.Repeat("x", rand.IntN(300))}}
	if p.bridge.Publish(ctx, n, events) != nil {
		return
	}
	p.tell("A %d %d", partition, n)
	p.flush() // one at most is not told of when the process is killed
	p.mu.Lock()
	p.published[partition] = n
	p.mu.Unlock()
}

// acknowledged waits until Redis has what was published and says so.
func (p *chaosProcess) acknowledged(ctx context.Context) bool {
	p.mu.Lock()
	published := append([]int(nil), p.published...)
	p.mu.Unlock()
	if p.bridge.Flush(ctx) != nil {
		return false
	}
	for partition, n := range published {
		p.tell("F %d %d", partition, n)
	}
	return true
}

// last publishes on each partition, which shows what is missing before.
func (p *chaosProcess) last() {
	for partition := range p.Partitions {
		p.publish(background(), partition)
	}
	p.acknowledged(background())
	p.tell("last")
}

func (p *chaosProcess) measure() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.tell("M %d %d", runtime.NumGoroutine(), m.HeapAlloc)
}

// end ends everything in good order.
func (p *chaosProcess) end() {
	p.stop()
	p.wg.Wait()
	if p.Reads {
		if err := p.reader.Close(); err != nil {
			p.tell("X Close of the reader: %v", err)
		}
	} else {
		acknowledged := p.bridge.Close() == nil
		for partition, n := range p.published {
			if acknowledged {
				p.tell("F %d %d", partition, n)
			}
		}
		if err := p.server.Stop(); err != nil {
			p.tell("X Stop: %v", err)
		}
	}
	ignored := append(redistest.Sleepers(), goleak.IgnoreTopFunction("github.com/harkbus/pubsub/redisbridge.(*chaosProcess).main.func1"), goleak.IgnoreCurrent())
	if err := goleak.Find(ignored[:len(ignored)-1]...); err != nil {
		p.tell("X %q", err.Error())
	}
	p.tell("ended")
	p.flush()
}
