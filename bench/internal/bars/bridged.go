package bars

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/bench/internal/remote"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redisbridge"
)

// A redisState is what a bridge finds Redis to be while its server publishes.
type redisState struct {
	name      string
	none      bool // no bridge at all
	dead      bool // nobody listens
	blackHole bool // it was there, and now the network swallows everything
	outbox    int  // its size in publications
}

const endless = 1 << 30 // an outbox that does not fill

var redisStates = []redisState{
	{name: "no bridge", none: true},
	{name: "no bridge", none: true},
	{name: "Redis alive", outbox: 1 << 16},
	{name: "Redis dead, outbox filling", dead: true, outbox: endless},
	{name: "Redis dead, outbox full", dead: true, outbox: 1},
	{name: "Redis black-holed, outbox filling", blackHole: true, outbox: endless},
	{name: "Redis black-holed, outbox full", blackHole: true, outbox: 1},
}

// measureBridgedPublish measures what a bridge adds to Server.Publish, which
// must not depend on how Redis is.
func measureBridgedPublish(s *Session) (err error) {
	redis, err := redistest.NewServer()
	if err != nil {
		return err
	}
	defer redis.Close()
	var servers []*pubsub.Server
	var contenders []trial.Contender
	for _, state := range redisStates {
		server, end, openErr := state.open(redis.Addr)
		if openErr != nil {
			return openErr
		}
		defer end()
		servers = append(servers, server)
		contenders = append(contenders, publishContender(state.name, server))
	}
	plan := s.Plan
	plan.Budget = min(plan.Budget, 3*time.Second) // an outbox that fills takes memory
	r, err := trial.Run(plan, contenders...)
	if err != nil {
		return err
	}
	s.spread("publish: no bridge", r[0], r[1])
	for i, state := range redisStates[2:] {
		s.count("publish: ns that a bridge adds, "+state.name, "", AtMost(150), r[i+2].Min()-r[0].Min(),
			Nanoseconds(r[i+2].Min())+" − "+Nanoseconds(r[0].Min()))
	}
	return s.publishTails(servers)
}

// open starts a server, with a bridge that finds Redis in the given state.
func (state *redisState) open(addr string) (server *pubsub.Server, end func(), err error) {
	server = pubsub.NewServer()
	if err := server.Start(); err != nil || state.none {
		return server, func() { _ = server.Stop() }, err
	}
	proxy, err := redistest.NewProxy(addr)
	if err != nil {
		return nil, nil, err
	}
	if state.dead {
		proxy.Close()
	}
	redis, err := redisbridge.ParseURL("redis://" + proxy.Addr)
	if err != nil {
		return nil, nil, err
	}
	bridge, err := redisbridge.Attach(server, redisbridge.Options{Redis: redis, Namespace: "publish", Mode: redisbridge.Durable, SendOnly: true,
		OutboxCount: state.outbox, OutboxBytes: 1 << 34, CloseTimeout: 1, RetainFrames: 1000})
	if err != nil {
		return nil, nil, err
	}
	if !state.dead {
		err = bridge.Ready(context.Background())
	}
	proxy.Blackhole(state.blackHole)
	return server, func() { _ = bridge.Close(); _ = server.Stop(); proxy.Close() }, err
}

func publishContender(name string, server *pubsub.Server) trial.Contender {
	publish := publisher(server)
	return trial.Contender{Name: name, Sample: func(n int) (float64, error) {
		began := time.Now()
		for range n {
			if err := publish(); err != nil {
				return 0, err
			}
		}
		return float64(time.Since(began)) / float64(n), nil
	}}
}

// publisher returns what publishes the payload and the attributes of all ways.
func publisher(server *pubsub.Server) func() error {
	events := make(map[string][]string)
	for key, value := range remote.Attributes {
		events[key] = []string{value}
	}
	data := make([]byte, remote.PayloadSize)
	return func() error { return server.PublishWithEvents(context.Background(), data, events) }
}

// timedCalls is how many calls are timed one by one, and timedAtOnce how many
// before the next server has its turn.
const (
	timedCalls  = 200_000
	timedAtOnce = 1000
)

// publishTails reports the slowest calls: a bridge that waited for Redis would
// show as at least the time of one round trip among them.
func (s *Session) publishTails(servers []*pubsub.Server) error {
	took := make([][]float64, len(servers))
	for range timedCalls / timedAtOnce {
		for i, server := range servers {
			publish := publisher(server)
			for range timedAtOnce {
				began := time.Now()
				if err := publish(); err != nil {
					return err
				}
				took[i] = append(took[i], float64(time.Since(began)))
			}
		}
	}
	for i, state := range redisStates[1:] {
		s.count("publish: ns of one call, p99.9, "+state.name, "", Goal{}, trial.Percentile(took[i+1], 99.9),
			fmt.Sprintf("p50 %s, slowest %s of %d", Nanoseconds(trial.Percentile(took[i+1], 50)), Nanoseconds(slices.Max(took[i+1])), timedCalls))
	}
	return nil
}

// middle returns the middle one of some measurements.
func middle[T cmp.Ordered](of []T) T {
	slices.Sort(of)
	return of[len(of)/2]
}

// fiveTimes returns what f measured each time.
func fiveTimes(f func() (time.Duration, error)) (all []time.Duration, err error) {
	for range 5 {
		took, failed := f()
		err = errors.Join(err, failed)
		all = append(all, took)
	}
	return all, err
}

// longest is how long anything that a fault causes is waited for.
const longest = 30 * time.Second

var errNever = errors.New("it did not happen within 30 s")

// until waits for a condition and returns how long that took.
func until(condition func() bool) (time.Duration, error) {
	began := time.Now()
	for !condition() {
		if time.Since(began) > longest {
			return 0, errNever
		}
		time.Sleep(100 * time.Microsecond)
	}
	return time.Since(began), nil
}
