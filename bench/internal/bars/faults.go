package bars

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redisbridge"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
)

// measureRefusal counts the connections of two seconds in which a channel is
// refused.
func measureRefusal(s *Session) error {
	redis, err := redistest.NewServer("--user", "limited", "on", ">pw", "~*", "+@all", "resetchannels", "&allowed")
	if err != nil {
		return err
	}
	defer redis.Close()
	proxy, err := redistest.NewProxy(redis.Addr)
	if err != nil {
		return err
	}
	defer proxy.Close()
	mux := redismux.New(redismux.FromOption(rueidis.ClientOption{InitAddress: []string{proxy.Addr}, ForceSingleClient: true, Username: "limited", Password: "pw"}))
	defer mux.Stop()
	refused := make(chan struct{})
	sub := mux.NewChannelSubscription(func(string, []byte) {}, nil, nil, redismux.WithOnError(func(string, error) { close(refused) }))
	if err := sub.Add("forbidden"); err != nil {
		return err
	}
	<-refused
	time.Sleep(2 * time.Second) // that is what the bar is about
	s.count("dials in 2 s when SUBSCRIBE is refused", "", AtMost(12), float64(proxy.Dials()), "one connection for commands, one for subscriptions; the seed made 3,537")
	return nil
}

// measureBlackHoles measures how soon it is noticed that the network swallows
// everything.
func measureBlackHoles(s *Session) error {
	redis, err := redistest.NewServer()
	if err != nil {
		return err
	}
	defer redis.Close()
	if err := s.blackHoleOfMux(redis.Addr); err != nil {
		return err
	}
	return errors.Join(s.blackHoleOfBridge(redis.Addr, redisbridge.Live), s.blackHoleOfBridge(redis.Addr, redisbridge.Durable))
}

func (s *Session) blackHole(of string, took []time.Duration) {
	s.count("s until a black hole is noticed: "+of, "", AtMost(1.2), middle(took).Seconds(), fmt.Sprintf("median of 5, longest %v", slices.Max(took).Round(time.Millisecond)))
}

func (s *Session) blackHoleOfMux(addr string) error {
	proxy, err := redistest.NewProxy(addr)
	if err != nil {
		return err
	}
	defer proxy.Close()
	mux := redismux.New(redismux.FromOption(rueidis.ClientOption{InitAddress: []string{proxy.Addr}, ForceSingleClient: true}))
	defer mux.Stop()
	active, lost := make(chan struct{}, 1), make(chan struct{}, 1) // the end is a loss that nobody waits for
	sub := mux.NewChannelSubscription(func(string, []byte) {}, func(error) { lost <- struct{}{} }, func(string) { active <- struct{}{} })
	if err := sub.Add("c"); err != nil {
		return err
	}
	took, err := fiveTimes(func() (time.Duration, error) {
		<-active
		began := time.Now()
		proxy.Blackhole(true)
		<-lost
		noticed := time.Since(began)
		proxy.Blackhole(false)
		return noticed, nil
	})
	<-active
	s.blackHole("redismux", took)
	return err
}

// blackHoleOfBridge measures both sides of a bridge: the one that sends and the
// one that receives are the same process here, and the later one counts.
func (s *Session) blackHoleOfBridge(addr string, mode redisbridge.Mode) error {
	took, err := fiveTimes(func() (time.Duration, error) {
		proxy, err := redistest.NewProxy(addr)
		if err != nil {
			return 0, err
		}
		defer proxy.Close()
		from, err := newSide(proxy.Addr, redisbridge.Options{Mode: mode, SendOnly: true, CloseTimeout: 1})
		if err != nil {
			return 0, err
		}
		defer from.close()
		to, err := newSide(proxy.Addr, redisbridge.Options{Mode: mode, ReceiveOnly: true, CloseTimeout: 1})
		if err != nil {
			return 0, err
		}
		defer to.close()
		proxy.Blackhole(true)
		began := time.Now()
		if err := from.server.Publish(context.Background(), "lost"); err != nil {
			return 0, err
		}
		_, err = until(func() bool { return from.bridge.Stats().Failures > 0 && to.bridge.Stats().Failures > 0 })
		return time.Since(began), err
	})
	s.blackHole("redisbridge, "+mode.String()+", writer and reader", took)
	return err
}

// A side is a server and its bridge.
type side struct {
	server *pubsub.Server
	bridge *redisbridge.Bridge
}

// newSide returns a side that is ready.
func newSide(addr string, o redisbridge.Options) (*side, error) {
	redis, err := redisbridge.ParseURL("redis://" + addr)
	if err != nil {
		return nil, err
	}
	o.Redis = redis
	return joinBus(o)
}

func joinBus(o redisbridge.Options) (*side, error) {
	s := &side{server: pubsub.NewServer()}
	if err := s.server.Start(); err != nil {
		return nil, err
	}
	var err error
	if s.bridge, err = redisbridge.Attach(s.server, o); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	return s, s.bridge.Ready(ctx)
}

func (s *side) close() { _ = s.bridge.Close(); _ = s.server.Stop() }

// measureMigration measures how long sharded channels are silent when their
// slot moves to another node.
func measureMigration(s *Session) error {
	cluster, err := redistest.NewCluster(3)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if err := s.migrationOfMux(cluster); err != nil {
		return err
	}
	return s.migrationOfBridge(cluster)
}

func (s *Session) migration(of string, took []time.Duration) {
	s.count("ms until it resumes after a slot moved: "+of, "", AtMost(100), float64(middle(took))/1e6, fmt.Sprintf("median of 5, longest %v", slices.Max(took).Round(time.Millisecond)))
}

// moveOn gives the slot of a key to the next node.
func moveOn(cluster *redistest.Cluster, key string) error {
	slot, err := cluster.SlotOf(key)
	if err != nil {
		return err
	}
	owner, err := cluster.OwnerOf(slot)
	if err != nil {
		return err
	}
	return cluster.Move(slot, (owner+1)%len(cluster.Nodes))
}

// migrationOfMux measures from the end of the subscription on the old node
// until it is confirmed by the new one.
func (s *Session) migrationOfMux(cluster *redistest.Cluster) error {
	mux := redismux.New(redismux.FromOption(cluster.Option()))
	defer mux.Stop()
	ended, active := make(chan time.Time, 1), make(chan time.Time, 1)
	sub := mux.NewShardedSubscription(func(string, []byte) {}, nil, func(string) { active <- time.Now() },
		redismux.WithOnError(func(string, error) { ended <- time.Now() }))
	if err := sub.Add("moving"); err != nil {
		return err
	}
	<-active
	took, err := fiveTimes(func() (time.Duration, error) {
		if err := moveOn(cluster, "moving"); err != nil {
			return 0, err
		}
		from, to := <-ended, <-active
		return to.Sub(from), nil
	})
	s.migration("redismux", took)
	return err
}

// migrationOfBridge measures the longest silence of a receiver while its sender
// publishes every millisecond.
func (s *Session) migrationOfBridge(cluster *redistest.Cluster) error {
	const namespace = "moving"
	options := redisbridge.Options{Redis: cluster.Option(), Namespace: namespace, Mode: redisbridge.Live}
	from, err := joinBus(options)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := joinBus(options)
	if err != nil {
		return err
	}
	defer to.close()
	var last, silence atomic.Int64
	began := time.Now()
	to.server.Observe(func(pubsub.Message) {
		now := int64(time.Since(began))
		silence.Store(max(silence.Load(), now-last.Swap(now)))
	})
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- publishUntil(from.server, stop) }()
	took, err := fiveTimes(func() (time.Duration, error) {
		if err := steady(&last); err != nil {
			return 0, err
		}
		silence.Store(0)
		if err := moveOn(cluster, "{"+namespace+"#0}"); err != nil {
			return 0, err
		}
		err := steady(&last)
		return time.Duration(silence.Load()), err
	})
	close(stop)
	s.migration("redisbridge, live", took)
	return errors.Join(err, <-ended)
}

// steady waits until publications have come for a while, one after the other.
func steady(last *atomic.Int64) error {
	for range 100 {
		at := last.Load()
		if _, err := until(func() bool { return last.Load() != at }); err != nil {
			return err
		}
	}
	return nil
}

func publishUntil(server *pubsub.Server, stop <-chan struct{}) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
		case <-stop:
			return nil
		}
		if err := server.Publish(context.Background(), strconv.Itoa(i)); err != nil {
			return err
		}
	}
}
