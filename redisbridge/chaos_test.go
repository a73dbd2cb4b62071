package redisbridge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/internal/soak"
)

// A chaosKind is what TestChaos is about in a round.
type chaosKind struct {
	name     string
	mode     Mode
	lossless bool // Redis keeps what it acknowledges: nothing may be missing
	nodes    int  // of a cluster, each with a replica; 0: one server
	lasts    time.Duration
}

var chaosKinds = []chaosKind{
	{"durable", Durable, true, 0, 5 * time.Second},
	{"durable with losses", Durable, false, 0, 5 * time.Second},
	{"live", Live, false, 0, 5 * time.Second},
	{"cluster with losses", Durable, false, 3, 3 * time.Second},
	{"live cluster", Live, false, 3, 3 * time.Second},
	{"durable cluster", Durable, true, 3, 5 * time.Second}, // when soaking
}

// Several processes publish and receive while everything happens to them, to
// Redis and to the links between that can. A model knows what each has accepted,
// and holds against it what the others received and were told is missing.
func TestChaos(t *testing.T) {
	for round := range soak.Rounds(t, len(chaosKinds)-1) {
		kind := chaosKinds[round%uint64(len(chaosKinds))]
		t.Run(fmt.Sprintf("%s %d", kind.name, round), func(t *testing.T) {
			if os.Getenv(soak.Variable) == "" {
				t.Parallel() // much of it is waiting
			}
			c := newChaos(t, kind, round)
			defer c.close()
			c.run()
			c.heal()
			c.rest()
			c.end()
			c.check()
		})
	}
}

// A chaos is one round.
type chaos struct {
	chaosKind
	t       *testing.T
	seed    uint64
	random  *rand.Rand
	clock   *redistest.Clock // of server
	server  *redistest.Server
	cluster *redistest.Cluster
	servers []*redistest.Server // all
	copied  bool                // see chaosModel
	forks   int                 // of the cluster, at first

	mu    sync.Mutex
	began time.Time
	log   []string // of the faults
	all   []*chaosPeer
}

func newChaos(t *testing.T, kind chaosKind, seed uint64) *chaos {
	c := &chaos{chaosKind: kind, t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), began: time.Now()}
	if c.nodes > 0 {
		c.cluster = redistest.StartReplicatedCluster(t, c.nodes)
		c.servers = append(slices.Clone(c.cluster.Nodes), c.cluster.Replicas...)
	} else {
		var directives []string
		if c.lossless {
			directives = []string{"--appendonly", "yes", "--appendfsync", "always"}
		}
		c.clock = redistest.NewClock(t)
		c.server = c.clock.Start(t, directives...)
		c.servers = []*redistest.Server{c.server}
	}
	c.forks = c.countForks()
	for range 3 {
		c.add(c.random, false, nil)
	}
	if c.mode == Durable {
		c.add(c.random, true, nil)
	}
	for _, p := range c.all {
		c.await("all are ready at first", p.saysReady)
	}
	for _, p := range c.all {
		c.order(p, "measure")
	}
	return c
}

func (p *chaosPeer) saysReady() bool { return p.has("ready", 1) }

func (c *chaos) partitions() int {
	if c.cluster == nil {
		return 1
	}
	return 2 * c.nodes
}

// note adds to the story.
func (c *chaos) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, fmt.Sprintf("%.1fs %s", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...)))
}

func (c *chaos) story() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.log, "; ")
}

// peers returns the processes that run.
func (c *chaos) peers() (running []*chaosPeer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.all {
		if p.fate == "" {
			running = append(running, p)
		}
	}
	return running
}

// add starts a process that publishes 1, 2, 3… on each partition, or one that
// reads on from where another one was.
func (c *chaos) add(random *rand.Rand, reads bool, before *chaosPeer) {
	c.mu.Lock()
	name := string(rune('a'+len(c.all)%26)) + strconv.Itoa(len(c.all))
	c.mu.Unlock()
	p := &chaosPeer{
		chaosOrder: chaosOrder{Name: name, Namespace: "chaos", Mode: c.mode, Partitions: c.partitions(), Reads: reads,
			Links: make(map[string]string), Pause: time.Duration(4+random.IntN(8)) * time.Millisecond, Lease: 3 * time.Second},
		began: time.Now(), before: before, read: make(chan struct{}),
		said: make(map[string]int), last: make(map[chaosLane]int),
		accepted: make([]int, c.partitions()), flushed: make([]int, c.partitions()),
	}
	if before != nil {
		p.Cursor = cmp.Or(before.cursor, before.Cursor) // it may have been killed before it got anything
	}
	for _, server := range c.servers {
		proxy := redistest.StartProxy(c.t, server.Addr)
		p.proxies = append(p.proxies, proxy)
		p.Links[server.Addr] = proxy.Addr
		p.Nodes = append(p.Nodes, server.Addr)
	}
	commands, in := c.pipe()
	out, events := c.pipe()
	program, err := redistest.StartProgram([]string{chaosOrderVariable + "=" + string(must(json.Marshal(p.chaosOrder)))},
		[]*os.File{commands, events}, must(os.Executable()))
	require.NoError(c.t, err)
	_, _ = commands.Close(), events.Close()
	p.program, p.in = program, in
	go p.follow(out)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, p)
}

func (c *chaos) pipe() (read, write *os.File) {
	read, write, err := os.Pipe()
	require.NoError(c.t, err)
	return read, write
}

func (c *chaos) order(p *chaosPeer, command string) {
	_, err := fmt.Fprintln(p.in, command)
	require.NoError(c.t, err)
}

func (c *chaos) await(what string, condition func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			require.FailNow(c.t, what, "seed %d: not so after %s\n%s", c.seed, c.story(), c.stand())
		}
	}
}

// stand tells where each process is.
func (c *chaos) stand() string {
	var b strings.Builder
	for _, p := range c.peers() {
		p.mu.Lock()
		fmt.Fprintf(&b, "%s said %v, accepted %v, flushed %v, last %v, errors %.800v\n", p.Name, p.said, p.accepted, p.flushed, p.last, p.errors)
		p.mu.Unlock()
	}
	return b.String()
}

// run lets faults happen, those of Redis beside those of processes and links.
func (c *chaos) run() {
	end := time.Now().Add(c.lasts)
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { c.happen(end, rand.New(rand.NewPCG(c.seed, 1)), c.faultsOfProcesses()) })
	c.happen(end, c.random, c.faultsOfRedis())
	both.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

type chaosFault func(random *rand.Rand) string

// happen lets every fault happen, and again until the end, in any order.
func (c *chaos) happen(end time.Time, random *rand.Rand, faults []chaosFault) {
	for again := true; again; again = time.Now().Before(end) {
		for _, i := range random.Perm(len(faults)) {
			moment(random, 50, 250)
			c.note("%s", faults[i](random))
		}
	}
}

func moment(random *rand.Rand, least, most int) {
	time.Sleep(time.Duration(least+random.IntN(most-least)) * time.Millisecond)
}

func (c *chaos) faultsOfProcesses() []chaosFault {
	return []chaosFault{c.cut, c.blackHole, c.slowLink, c.refuse, c.stop, c.kill, c.leave, c.join, c.hostClock}
}

func (c *chaos) faultsOfRedis() (faults []chaosFault) {
	faults = append(faults, c.pause, c.garbage)
	if c.cluster == nil {
		faults = append(faults, c.restart, c.redisClock)
	} else {
		faults = append(faults, c.migrate, c.migrate)
		if c.lossless {
			faults = append(faults, c.handOver)
		}
	}
	if !c.lossless {
		faults = append(faults, c.copies, c.evict, c.flush, c.save)
		if c.cluster == nil {
			faults = append(faults, c.evictAll)
		} else {
			faults = append(faults, c.failover)
		}
	}
	return faults
}

func (c *chaos) somebody(random *rand.Rand) *chaosPeer {
	peers := c.peers()
	return peers[random.IntN(len(peers))]
}

func (c *chaos) cut(random *rand.Rand) string {
	p := c.somebody(random)
	for _, proxy := range p.proxies {
		proxy.Cut()
	}
	return "cut " + p.Name
}

func (c *chaos) blackHole(random *rand.Rand) string {
	p := c.somebody(random)
	for _, proxy := range p.proxies {
		proxy.Blackhole(true)
	}
	moment(random, 10, 1500)
	for _, proxy := range p.proxies {
		proxy.Blackhole(false)
	}
	return "black hole before " + p.Name
}

func (c *chaos) slowLink(random *rand.Rand) string {
	p := c.somebody(random)
	rate := 20_000 + random.IntN(100_000)
	for _, proxy := range p.proxies {
		proxy.Limit(rate)
	}
	moment(random, 100, 1000)
	for _, proxy := range p.proxies {
		proxy.Limit(0)
	}
	return fmt.Sprintf("%d bytes/s for %s", rate, p.Name)
}

func (c *chaos) refuse(random *rand.Rand) string {
	p := c.somebody(random)
	for _, proxy := range p.proxies {
		proxy.Refuse(c.t, true)
		proxy.Cut()
	}
	moment(random, 10, 500)
	for _, proxy := range p.proxies {
		proxy.Refuse(c.t, false)
	}
	return p.Name + " refused"
}

// stop stops a process, which goes on later as if nothing had been.
func (c *chaos) stop(random *rand.Rand) string {
	p := c.somebody(random)
	require.NoError(c.t, p.program.Pause())
	moment(random, 10, 2000)
	require.NoError(c.t, p.program.Resume())
	return "stopped " + p.Name
}

// kill kills a process but the first and puts another in its place.
func (c *chaos) kill(random *rand.Rand) string {
	p := c.mortal(random)
	if random.IntN(4) == 0 { // as it stands
		_ = p.program.Pause()
		moment(random, 10, 300)
	}
	c.bury(p, "killed")
	c.add(random, p.Reads, readerOrNil(p))
	return "killed " + p.Name
}

// leave has a process but the first end in good order and puts another in its
// place.
func (c *chaos) leave(random *rand.Rand) string {
	p := c.mortal(random)
	_, _ = fmt.Fprintln(p.in, "end")
	c.await(p.Name+" ends", func() bool { return p.has("ended", 1) })
	c.bury(p, "left")
	c.add(random, p.Reads, readerOrNil(p))
	return p.Name + " left"
}

func readerOrNil(p *chaosPeer) *chaosPeer {
	if p.Reads {
		return p
	}
	return nil
}

// mortal returns one but the first, which sees everything.
func (c *chaos) mortal(random *rand.Rand) *chaosPeer {
	peers := c.peers()
	return peers[1+random.IntN(len(peers)-1)]
}

// bury ends a process, reads what it has left, and forgets what a Reader had
// beyond its cursor: whoever goes on there receives that again.
func (c *chaos) bury(p *chaosPeer, fate string) {
	printed := p.program.Close()
	<-p.read
	_ = p.in.Close()
	for _, proxy := range p.proxies {
		proxy.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.fate = fate
	if printed != "" {
		p.forbidden = append(p.forbidden, printed)
	}
	if p.Reads {
		p.got = p.got[:p.cursorAt]
	}
}

func (c *chaos) join(random *rand.Rand) string {
	if len(c.peers()) > 5 {
		return c.kill(random)
	}
	c.add(random, false, nil)
	return "one more"
}

// hostClock steps the clock of the host under a process: what the process knows
// is how far that of Redis is ahead.
func (c *chaos) hostClock(random *rand.Rand) string {
	p, step := c.somebody(random), c.step(random)
	_, _ = fmt.Fprintln(p.in, "clock", step.Microseconds())
	return fmt.Sprintf("clock of %s %+v", p.Name, step)
}

// step is how far a clock steps: beyond a minute a frame may be stale.
func (c *chaos) step(random *rand.Rand) time.Duration {
	most := 50 * time.Second
	if !c.lossless {
		most = 2 * time.Hour
	}
	return time.Duration(random.Int64N(int64(2*most)) - int64(most))
}

func (c *chaos) redisClock(random *rand.Rand) string {
	step := c.step(random)
	ahead, err := c.clock.Step(step)
	require.NoError(c.t, err)
	return fmt.Sprintf("clock of Redis %+v, %+v ahead", step, ahead)
}

// node returns a server that serves, and the partitions on it.
func (c *chaos) node(random *rand.Rand) (*redistest.Server, []int) {
	if c.cluster == nil {
		return c.server, []int{0}
	}
	i := random.IntN(len(c.cluster.Nodes))
	var here []int
	for partition := range c.partitions() {
		if c.cluster.Owner(c.t, c.slot(partition)) == i {
			here = append(here, partition)
		}
	}
	return c.cluster.Nodes[i], here
}

func (c *chaos) slot(partition int) int { return c.cluster.Slot(c.t, c.names(partition).stream) }

func (c *chaos) names(partition int) partitionNames {
	return namesOfPartition("chaos", partition, pubsub.Origin{})
}

func (c *chaos) pause(random *rand.Rand) string {
	node, _ := c.node(random)
	most := 1500
	if c.cluster != nil {
		most = 700 // or its replica would take over
	}
	node.Pause(c.t)
	moment(random, 10, most)
	node.Resume(c.t)
	return "paused " + node.Addr
}

// restart brings the server back: with all it had, or as it was at the last
// save.
func (c *chaos) restart(*rand.Rand) string { c.server.Restart(c.t); return "restart" }

func (c *chaos) save(random *rand.Rand) string {
	node, _ := c.node(random)
	_, _ = node.Run("SAVE")
	return "saved " + node.Addr
}

func (c *chaos) garbage(random *rand.Rand) string {
	node, partitions := c.node(random)
	for _, partition := range partitions {
		names := c.names(partition)
		if c.mode == Live {
			command := "PUBLISH"
			if c.cluster != nil {
				command = "SPUBLISH"
			}
			_, _ = node.Run(command, names.channel, "garbage")
			continue
		}
		id := "*"
		if random.IntN(3) == 0 {
			id = entryID{uint64(time.Now().Add(3 * time.Hour).UnixMilli()), 1}.String()
		}
		_, _ = node.Run("XADD", names.stream, id, "f", "garbage", "p", "0-0") // it may be too late for that ID
	}
	return "garbage at " + node.Addr
}

func (c *chaos) copies(random *rand.Rand) string {
	if c.mode == Live {
		return "nothing"
	}
	node, partitions := c.node(random)
	for _, partition := range partitions {
		stream := c.names(partition).stream
		reply, err := node.Run("XREVRANGE", stream, "+", "-", "COUNT", "5")
		if err != nil {
			continue
		}
		entries, _ := reply.AsXRange()
		for _, e := range entries {
			if e.FieldValues["f"] != "" {
				_, _ = node.Run("XADD", stream, "*", "f", e.FieldValues["f"], "p", e.FieldValues["p"])
			}
		}
	}
	c.copied = true
	return "copies at " + node.Addr
}

// evict takes away keys beside the streams.
func (c *chaos) evict(random *rand.Rand) string {
	node, partitions := c.node(random)
	_, _ = node.Run("DEL", namesOfNamespace("chaos", pubsub.Origin{}).layout)
	for _, partition := range partitions {
		keys, _ := node.Run("KEYS", strings.TrimSuffix(c.names(partition).stream, "stream")+"*")
		names, _ := keys.AsStrSlice()
		for _, name := range names {
			if !strings.HasSuffix(name, ":stream") && random.IntN(2) == 0 {
				_, _ = node.Run("DEL", name)
			}
		}
	}
	c.copied = true
	return "evicted at " + node.Addr
}

// evictAll leaves a server no memory at all, for a moment.
func (c *chaos) evictAll(random *rand.Rand) string {
	for _, directive := range [][]string{{"maxmemory-policy", "allkeys-random"}, {"maxmemory", "1"}} {
		_, _ = c.server.Run("CONFIG", "SET", directive[0], directive[1])
	}
	moment(random, 10, 500)
	_, _ = c.server.Run("CONFIG", "SET", "maxmemory", "0")
	return "no memory"
}

func (c *chaos) flush(random *rand.Rand) string {
	node, _ := c.node(random)
	_, _ = node.Run("FLUSHALL")
	return "FLUSHALL at " + node.Addr
}

func (c *chaos) migrate(random *rand.Rand) string {
	slot, to := c.slot(random.IntN(c.partitions())), random.IntN(c.nodes)
	if c.cluster.Owner(c.t, slot) == to {
		to = (to + 1) % c.nodes
	}
	c.cluster.MigrateSlot(c.t, slot, to)
	return fmt.Sprintf("slot %d to %s", slot, c.cluster.Nodes[to].Addr)
}

func (c *chaos) handOver(random *rand.Rand) string {
	i := random.IntN(c.nodes)
	c.cluster.HandOver(c.t, i)
	return c.cluster.Nodes[i].Addr + " took over"
}

// countForks counts how often a node of the cluster has thrown away what it had
// written on its own. That is when its replica is elected with an epoch that a
// slot which moved has taken meanwhile: for a moment both accept, and what one
// of them acknowledged is lost, though a replica that takes over by agreement is
// to lose nothing.
func (c *chaos) countForks() (n int) {
	if c.cluster == nil {
		return 0
	}
	for _, server := range c.servers {
		n += strings.Count(server.Log(c.t), "Replication ID mismatch")
	}
	return n
}

func (c *chaos) failover(random *rand.Rand) string {
	i := random.IntN(c.nodes)
	c.cluster.FailoverAndReturn(c.t, i)
	return c.cluster.Nodes[i].Addr + " came for the dead"
}

// heal waits until those that are left have all that those that are left have
// published.
func (c *chaos) heal() {
	c.note("healed")
	peers := c.peers()
	for _, p := range peers {
		c.await(p.Name+" is ready", p.saysReady)
	}
	for _, p := range peers {
		c.order(p, "quiet")
		c.await(p.Name+" is quiet", func() bool { return p.has("quiet", 1) })
	}
	for times := range 2 { // what comes last shows what is missing before
		c.publishLast(peers, times+1)
	}
	asked, times := time.Now(), 2
	c.await("everybody has everything", func() bool {
		if c.hasAll(peers) {
			return true
		}
		if c.mode == Live && time.Since(asked) > time.Second { // those who were away then do not know yet
			times++
			c.publishLast(peers, times)
			asked = time.Now()
		}
		return false
	})
	if c.mode == Live {
		c.await("who is gone is known to be", func() bool { return c.silenceIsKnown(peers) })
	}
}

func (c *chaos) publishLast(peers []*chaosPeer, times int) {
	for _, p := range peers {
		if !p.Reads {
			c.order(p, "last")
			c.await(p.Name+" has published its last", func() bool { return p.has("last", times) })
		}
	}
}

func (c *chaos) hasAll(peers []*chaosPeer) bool {
	for _, p := range peers {
		for _, origin := range peers {
			if p == origin || origin.Reads {
				continue
			}
			for partition := range c.partitions() {
				if p.lastOf(chaosLane{origin.Name, partition}) != origin.acceptedOn(partition) {
					return false
				}
			}
		}
	}
	return true
}

func (c *chaos) silenceIsKnown(peers []*chaosPeer) bool {
	for _, p := range peers {
		if !c.knowsSilence(p) {
			return false
		}
	}
	return true
}

func (c *chaos) knowsSilence(p *chaosPeer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := make(map[chaosLane]bool)
	for _, r := range p.got {
		silent[r.chaosLane] = silent[r.chaosLane] || r.gap != nil && r.gap.Reason == Silent
	}
	for _, origin := range c.all {
		for partition := range c.partitions() {
			lane := chaosLane{origin.Name, partition}
			if origin.fate == "killed" && p.last[lane] > 0 && !silent[lane] {
				return false
			}
		}
	}
	return true
}

// rest requires that nobody asks Redis over and over when there is nothing, and
// that no process holds more than at its start.
func (c *chaos) rest() {
	c.note("complete")
	const watched = time.Second
	commands := func() (n int) {
		for _, server := range c.servers {
			n += must(strconv.Atoi(server.Info(c.t, "total_commands_processed")))
		}
		return n
	}
	before := commands()
	time.Sleep(watched) // what is watched for takes place in real time, in Redis
	peers := c.peers()
	require.Less(c.t, commands()-before, 100*len(peers)*(1+len(c.servers)), "seed %d: commands in %v", c.seed, watched)
	for _, p := range peers {
		p.mu.Lock()
		first := slices.Clone(p.measured)
		p.mu.Unlock()
		if len(first) == 0 {
			continue // it came later
		}
		// A cluster client keeps a goroutine or two for each connection to a node
		// that it has not talked to before.
		more := 5 + 8*(len(c.servers)-1)
		asked := 0
		c.await(p.Name+" has its goroutines and memory back", func() bool {
			p.mu.Lock()
			measured := slices.Clone(p.measured)
			p.mu.Unlock()
			if len(measured) == len(first)+asked {
				now := measured[len(measured)-1]
				if asked > 0 && now.goroutines <= first[0].goroutines+more && now.bytes <= first[0].bytes+16<<20 {
					return true
				}
				asked++
				c.order(p, "measure")
			}
			return false
		})
	}
}

// end ends all processes in good order.
func (c *chaos) end() {
	for _, p := range c.peers() {
		c.order(p, "end")
		c.await(p.Name+" ends", func() bool { return p.has("ended", 1) })
		c.bury(p, "stayed")
	}
}

func (c *chaos) check() {
	if forks := c.countForks() - c.forks; c.lossless && forks > 0 {
		c.note("%d forks of the cluster", forks)
		c.lossless = false
	}
	m := &chaosModel{t: c.t, mode: c.mode, lossless: c.lossless, copied: c.copied, peers: c.all,
		story: fmt.Sprintf("seed %d: %s", c.seed, c.story())}
	m.check()
	c.t.Logf("%d processes, %d received, %d reported missing; %s", len(c.all), m.received, m.missing, c.story())
}

// close ends whatever is left, and what it has started, after a failure too.
func (c *chaos) close() {
	for _, p := range c.peers() {
		c.bury(p, "stayed")
	}
}
