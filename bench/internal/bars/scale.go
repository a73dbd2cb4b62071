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
	"github.com/harkbus/pubsub/redisbridge"
)

func scaleExperiments() []Experiment {
	return []Experiment{{Name: "scale: processes", Measure: measureScale}}
}

const (
	scaleFor   = 2 * time.Second
	scaleEvery = 2 * time.Millisecond // between two rounds of publications
	scaleRound = 8                    // publications, shared by the processes
)

// A scaled is what some processes that all publish and all receive have cost.
type scaled struct {
	processes   int
	published   float64 // a second, by all
	redis       float64 // seconds of Redis for a publication
	in, out     float64 // bytes of a publication, to and from Redis
	commands    float64 // of a publication
	connections float64 // of a process
	memory      float64 // bytes of a process
}

// measureScale measures 1 to 16 processes, which are bridges with servers
// and connections of their own, and has a simulation carry what they cost
// farther.
func measureScale(s *Session) error {
	var all []scaled
	for _, n := range []int{1, 2, 4, 8, 16} {
		server, err := redistest.NewServer()
		if err != nil {
			return err
		}
		m, err := measureProcesses(n, redisbridge.Options{Redis: server.Option()}, server)
		server.Close()
		if err != nil {
			return err
		}
		s.reportScaled("one server", m)
		all = append(all, m)
	}
	if err := s.scaleCluster(); err != nil {
		return err
	}
	match, err := measureSubscriptions(10_000)
	if err != nil {
		return err
	}
	s.count("µs of a process for a publication, 10,000 subscriptions of which one matches", "", Goal{}, match*1e6, "")
	s.reportSimulation(all, match)
	return nil
}

func (s *Session) scaleCluster() error {
	cluster, err := redistest.NewCluster(3)
	if err != nil {
		return err
	}
	defer cluster.Close()
	route := func(m pubsub.Message) string { return strconv.FormatUint(m.Sequence(), 10) }
	m, err := measureProcesses(8, redisbridge.Options{Redis: cluster.Option(), Partitions: 6, Route: route}, cluster.Nodes...)
	if err == nil {
		s.reportScaled("3 nodes, 6 partitions", m)
	}
	return err
}

func (s *Session) reportScaled(where string, m scaled) {
	what := fmt.Sprintf("%s, %d processes: ", where, m.processes)
	s.count(what+"µs of Redis for a publication", "", Goal{}, m.redis*1e6, fmt.Sprintf("at %.0f a second", m.published))
	s.count(what+"bytes from Redis for a publication", "", Goal{}, m.out, fmt.Sprintf("%.0f to it, %.1f commands", m.in, m.commands))
	s.count(what+"KiB of a process", "", Goal{}, m.memory/1024, fmt.Sprintf("%.1f connections", m.connections))
}

// measureProcesses has n processes publish for a while, and all receive all.
func measureProcesses(n int, o redisbridge.Options, nodes ...*redistest.Server) (m scaled, err error) {
	before := heapInUse()
	o.Namespace = "scale"
	var servers []*pubsub.Server
	var bridges []*redisbridge.Bridge
	defer func() {
		for i, b := range bridges {
			_ = b.Close()
			_ = servers[i].Stop()
		}
	}()
	for range n {
		server := pubsub.NewServer()
		if err := server.Start(); err != nil {
			return m, err
		}
		bridge, err := redisbridge.Attach(server, o)
		if err != nil {
			return m, err
		}
		servers, bridges = append(servers, server), append(bridges, bridge)
		if err := bridge.Ready(background); err != nil {
			return m, err
		}
	}
	m.processes = n
	m.memory = float64(heapInUse()-before) / float64(n)
	idle, err := usageOf(nodes)
	if err != nil {
		return m, err
	}
	time.Sleep(scaleFor / 2) // signs of life cost something, too
	usedBefore, err := usageOf(nodes)
	if err != nil {
		return m, err
	}
	published := 0
	data, began := make([]byte, 200), time.Now()
	ticker := time.NewTicker(scaleEvery)
	defer ticker.Stop()
	for time.Since(began) < scaleFor {
		for i := range scaleRound {
			if err := bridges[i%n].Publish(background, data, nil); err != nil {
				return m, err
			}
			published++
		}
		<-ticker.C
	}
	for _, b := range bridges {
		if err := b.Flush(background); err != nil {
			return m, err
		}
	}
	used, err := usageOf(nodes)
	took, count := time.Since(began).Seconds(), float64(published)
	m.published = count / took
	asleep := (usedBefore.cpu - idle.cpu) / (scaleFor / 2).Seconds()
	m.redis = (used.cpu - usedBefore.cpu - asleep*took) / count
	m.in = (used.in - usedBefore.in) / count
	m.out = (used.out - usedBefore.out) / count
	m.commands = (used.commands - usedBefore.commands) / count
	m.connections = used.clients / float64(n)
	return m, err
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
// subscriptions.
func (s *Session) reportSimulation(all []scaled, match float64) {
	fixed, each := fit(all)
	s.count("fitted: µs of Redis for a frame, beside what each receiver costs", "", Goal{}, fixed*1e6, fmt.Sprintf("and %.2f µs for each", each*1e6))
	for _, n := range []int{10, 30, 100} {
		r := simulate(n, fixed, each, match)
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
func simulate(processes int, fixed, each, match float64) (r simulated) {
	service := fixed + each*float64(processes)
	r.most = 1 / service
	r.process = r.most / 2 * match
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
