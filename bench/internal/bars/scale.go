package bars

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/query"
)

func scaleExperiments() []Experiment {
	return []Experiment{{Name: "scale: processes", Measure: measureScale}}
}

const (
	scaleFor      = 2 * time.Second
	scaleRate     = 4000 // publications a second, of all processes together
	scalePatience = 2 * time.Minute
)

// A scaled is what some processes that all publish and all receive have cost.
type scaled struct {
	processes   int
	published   float64 // a second, by all
	arrived     float64 // part of what each was to receive
	redis       float64 // seconds of Redis for a publication
	process     float64 // seconds of a process for a publication of any of them
	in, out     float64 // bytes of a publication, to and from Redis
	commands    float64 // of a publication
	connections float64 // of a process
	held        float64 // bytes that a bridge holds
	resident    float64 // bytes of a process
}

// measureScale measures 1 to 8 processes, on one server and on a cluster, with
// more and more subscriptions, and many that start together; a simulation
// carries what they cost farther.
func measureScale(s *Session) error {
	server, err := redistest.NewServer()
	if err != nil {
		return err
	}
	defer server.Close()
	one := role{Addresses: []string{server.Addr}, Partitions: 1}
	var all []scaled
	for _, n := range []int{1, 2, 4, 8} {
		m, err := measureProcesses(n, one, server)
		if err != nil {
			return err
		}
		s.reportScaled("one server", m)
		all = append(all, m)
	}
	for _, n := range []int{1_000, 10_000} {
		crowded := one
		crowded.Subscriptions = n
		m, err := measureProcesses(4, crowded, server)
		if err != nil {
			return err
		}
		s.reportScaled(fmt.Sprintf("one server, %d subscriptions each", n), m)
	}
	if err := errors.Join(s.scaleCluster(), s.startTogether(one)); err != nil {
		return err
	}
	match, err := measureSubscriptions(10_000)
	if err != nil {
		return err
	}
	s.count("µs of a process for a publication, 10,000 subscriptions of which one matches", "", Goal{}, match*1e6, "matching alone")
	s.reportSimulation(all, all[len(all)-1].process+match)
	return nil
}

func (s *Session) scaleCluster() error {
	cluster, err := redistest.NewCluster(3)
	if err != nil {
		return err
	}
	defer cluster.Close()
	r := role{Addresses: cluster.Option().InitAddress, Cluster: true, Partitions: 6}
	for _, n := range []int{1, 2, 4, 8} {
		m, err := measureProcesses(n, r, cluster.Nodes...)
		if err != nil {
			return err
		}
		s.reportScaled("3 nodes, 6 partitions", m)
	}
	return nil
}

// startTogether has 30 processes with 500 queries each begin at one moment.
func (s *Session) startTogether(r role) error {
	const processes, queries = 30, 500
	r.Subscriptions = queries
	ctx, cancel := context.WithTimeout(background, scalePatience)
	defer cancel()
	members, err := startMembers(ctx, processes, r)
	defer func() { _ = endAll(members) }()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := tellAll(members, "attach"); err != nil {
		return err
	}
	ready, err := hearAll[joined](members)
	if err != nil {
		return err
	}
	took, held := time.Since(began), 0
	for _, m := range ready {
		held += m.Held
	}
	what := fmt.Sprintf("%d processes with %d queries start together: ", processes, queries)
	s.count(what+"seconds until all are ready", "6", AtMost(6), took.Seconds(), "")
	s.count(what+"MB that their bridges hold", "120", AtMost(120), float64(held)/1e6, fmt.Sprintf("%d KiB each", held/processes/1024))
	return nil
}

func (s *Session) reportScaled(where string, m scaled) {
	what := fmt.Sprintf("%s, %d processes: ", where, m.processes)
	s.count(what+"µs of Redis for a publication", "", Goal{}, m.redis*1e6, fmt.Sprintf("at %.0f a second, of which %.4g %% arrived", m.published, 100*m.arrived))
	s.count(what+"µs of each process for a publication", "", Goal{}, m.process*1e6, "")
	s.count(what+"bytes from Redis for a publication", "", Goal{}, m.out, fmt.Sprintf("%.0f to it, %.1f commands", m.in, m.commands))
	s.count(what+"KiB that a bridge holds", "", Goal{}, m.held/1024, fmt.Sprintf("%.1f connections; the process has %.0f MiB", m.connections, m.resident/(1<<20)))
}

// measureProcesses has n processes publish for a while, and all receive all.
func measureProcesses(n int, r role, nodes ...*redistest.Server) (m scaled, err error) {
	r.Every, r.For = time.Duration(n)*time.Second/scaleRate, scaleFor
	ctx, cancel := context.WithTimeout(background, scalePatience)
	defer cancel()
	members, err := startMembers(ctx, n, r)
	defer func() { err = errors.Join(err, endAll(members)) }()
	if err != nil {
		return m, err
	}
	if err := tellAll(members, "attach"); err != nil {
		return m, err
	}
	ready, err := hearAll[joined](members)
	if err != nil {
		return m, err
	}
	idle, err := usageOf(nodes)
	if err != nil {
		return m, err
	}
	time.Sleep(scaleFor / 2) // signs of life cost something, too
	before, err := usageOf(nodes)
	if err != nil {
		return m, err
	}
	began := time.Now()
	if err := tellAll(members, "publish"); err != nil {
		return m, err
	}
	said, err := hearAll[spoken](members)
	if err != nil {
		return m, err
	}
	used, err := usageOf(nodes)
	took := time.Since(began).Seconds()
	asleep := (before.cpu - idle.cpu) / (scaleFor / 2).Seconds()
	m.processes = n
	m.add(ready, said)
	count := m.published
	m.published = count / scaleFor.Seconds()
	m.redis = (used.cpu - before.cpu - asleep*took) / count
	m.in = (used.in - before.in) / count
	m.out = (used.out - before.out) / count
	m.commands = (used.commands - before.commands) / count
	m.connections = used.clients / float64(n)
	return m, err
}

// add takes in what the members say. published is a sum then.
func (m *scaled) add(ready []joined, said []spoken) {
	n := float64(len(said))
	received := 0.0
	for i := range said {
		m.published += float64(said[i].Published)
		received += float64(said[i].Received)
		m.held += float64(ready[i].Held) / n
		m.resident += float64(ready[i].Resident) / n
		m.process += said[i].CPU / n
	}
	m.process /= m.published
	m.arrived = 1
	if n > 1 {
		m.arrived = received / (m.published * (n - 1))
	}
}

// measureSubscriptions measures what a publication costs a process whose server
// has so many subscriptions.
func measureSubscriptions(n int) (seconds float64, err error) {
	server := pubsub.NewServer()
	if err := server.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = server.Stop() }()
	for i := range n {
		_, err := server.SubscribeWithArgs(background, pubsub.SubscribeArgs{ClientID: strconv.Itoa(i),
			Query: query.MustParse(fmt.Sprintf("account = 'a%d'", i)), Capacity: 1, Overflow: pubsub.DropOldest})
		if err != nil {
			return 0, err
		}
	}
	const publications = 20_000
	began := time.Now()
	for i := range publications {
		events := map[string][]string{"account": {"a" + strconv.Itoa(i%n)}}
		if err := server.PublishWithEvents(background, nil, events); err != nil {
			return 0, err
		}
	}
	return time.Since(began).Seconds() / publications, nil
}

// A usage is what servers have used so far.
type usage struct{ cpu, in, out, commands, clients float64 }

func usageOf(nodes []*redistest.Server) (u usage, err error) {
	for _, node := range nodes {
		result, err := node.Run("INFO", "everything")
		if err != nil {
			return u, err
		}
		text, err := result.ToString()
		if err != nil {
			return u, err
		}
		for field, to := range map[string]*float64{"used_cpu_user": &u.cpu, "used_cpu_sys": &u.cpu, "total_net_input_bytes": &u.in,
			"total_net_output_bytes": &u.out, "total_commands_processed": &u.commands, "connected_clients": &u.clients} {
			_, rest, found := strings.Cut(text, "\n"+field+":")
			value, _, _ := strings.Cut(rest, "\r")
			number, err := strconv.ParseFloat(value, 64)
			if !found || err != nil {
				return u, errors.Join(fmt.Errorf("INFO has no number %s", field), err)
			}
			*to += number
		}
	}
	return u, nil
}

func heapInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// reportSimulation carries the costs to 100 processes with a million
// subscriptions. process is what a publication costs each of them.
func (s *Session) reportSimulation(all []scaled, process float64) {
	fixed, each := fit(all)
	s.count("fitted: µs of Redis for a frame, beside what each receiver costs", "", Goal{}, fixed*1e6, fmt.Sprintf("and %.2f µs for each", each*1e6))
	for _, n := range []int{10, 30, 100} {
		r := simulate(n, fixed, each, process)
		s.count(fmt.Sprintf("simulated, %d processes, %d subscriptions: publications a second that one Redis carries", n, n*10_000), "", Goal{},
			r.most, fmt.Sprintf("at half of that, p99 of the wait for Redis %.2f ms; %.0f %% of one core of each process", r.wait*1e3, 100*r.process))
	}
}

// fit returns the line through what a publication costs Redis over the number
// of receivers, which are all processes.
func fit(all []scaled) (fixed, each float64) {
	var n, x, y, xx, xy float64
	for _, m := range all {
		p := float64(m.processes)
		n, x, y, xx, xy = n+1, x+p, y+m.redis, xx+p*p, xy+p*m.redis
	}
	each = max((n*xy-x*y)/(n*xx-x*x), 0)
	return max((y-each*x)/n, 0), each
}

type simulated struct{ most, wait, process float64 }

// simulate has publications come at random, at half the rate that Redis can
// carry, and wait for it, one frame each: the worst case, because what waits is
// packed together. The seed is fixed.
func simulate(processes int, fixed, each, process float64) (r simulated) {
	service := fixed + each*float64(processes)
	r.most = 1 / service
	r.process = r.most / 2 * process
	random := rand.New(rand.NewPCG(uint64(processes), 1))
	var now, free float64
	var waits []float64
	for range 200_000 {
		now += random.ExpFloat64() * 2 * service
		waits = append(waits, max(free-now, 0))
		free = max(free, now) + service
	}
	slices.Sort(waits)
	r.wait = waits[len(waits)*99/100]
	return r
}

var background = context.Background()
