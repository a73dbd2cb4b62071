package bars

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/bench/internal/remote"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redisbridge"
)

func redisExperiments() []Experiment {
	return []Experiment{
		{Name: "redis: transport", Measure: measureTransport},
		{Name: "redis: end to end", Measure: measureEndToEnd},
		{Name: "redis: publish", Measure: measureBridgedPublish},
	}
}

// measureTransport compares opaque payloads through a server of its own.
func measureTransport(s *Session) error {
	r, err := s.carry(remote.HarkLive, remote.HarkLive, remote.HarkDurable, remote.Rueidis, remote.GoRedis, remote.Redigo, remote.Watermill)
	if err != nil {
		return err
	}
	of := fmt.Sprintf("through Redis, %d bytes: ", remote.PayloadSize)
	s.spread(of+"hark live", r[0], r[1])
	s.compare(of+"rueidis PUBLISH ÷ hark live", "5.8", AtLeast(5), r[3], r[0])
	s.compare(of+"go-redis PUBLISH ÷ hark live", "", Goal{}, r[4], r[0])
	s.compare(of+"redigo PUBLISH ÷ hark live", "", Goal{}, r[5], r[0])
	s.compare(of+"watermill-redisstream ÷ hark durable", "", AtLeast(100), r[6], r[2])
	return nil
}

// measureEndToEnd compares publications with four attributes, of which one
// subscription matches all.
func measureEndToEnd(s *Session) error {
	r, err := s.carry(remote.HarkDurableAll, remote.HarkDurableAll, remote.HarkLiveAll, remote.WatermillAll)
	if err != nil {
		return err
	}
	of := fmt.Sprintf("through Redis, %d bytes, 4 attributes, one match: ", remote.PayloadSize)
	s.spread(of+"hark durable", r[0], r[1])
	s.compare(of+"watermill-redisstream ÷ hark durable", "", AtLeast(25), r[3], r[0])
	s.compare(of+"watermill-redisstream ÷ hark live", "", Goal{}, r[3], r[2])
	return nil
}

// carry measures ways through Redis that all carry the same.
func (s *Session) carry(kinds ...remote.Kind) (_ []*trial.Result, err error) {
	var contenders []trial.Contender
	for _, kind := range kinds {
		server, startErr := redistest.NewServer()
		if startErr != nil {
			return nil, startErr
		}
		defer server.Close()
		line, openErr := remote.Open(kind, server.Addr)
		if openErr != nil {
			return nil, openErr
		}
		defer func() { err = errors.Join(err, line.Close()) }()
		contenders = append(contenders, line.Contender())
	}
	return trial.Run(s.Plan, contenders...)
}

// publishWays are servers whose Publish should cost the same, or little more.
var publishWays = []struct {
	name   string
	bridge func(redis *redistest.Server) redisbridge.Options // nil: none
}{
	{"no bridge", nil},
	{"no bridge", nil},
	{"Redis alive", func(redis *redistest.Server) redisbridge.Options { return bridgeTo(redis.Addr, 1<<16) }},
	{"Redis dead, outbox filling", func(*redistest.Server) redisbridge.Options { return bridgeTo("127.0.0.1:1", 1<<30) }},
	{"Redis dead, outbox full", func(*redistest.Server) redisbridge.Options { return bridgeTo("127.0.0.1:1", 1) }},
}

func bridgeTo(addr string, outbox int) redisbridge.Options {
	redis, err := redisbridge.ParseURL("redis://" + addr)
	if err != nil {
		panic(err)
	}
	return redisbridge.Options{Redis: redis, Namespace: "publish", Mode: redisbridge.Durable, SendOnly: true,
		OutboxCount: outbox, OutboxBytes: 1 << 34, CloseTimeout: 1, RetainFrames: 1000}
}

// measureBridgedPublish measures what a bridge adds to Server.Publish, which
// must not depend on how Redis is.
func measureBridgedPublish(s *Session) error {
	redis, err := redistest.NewServer()
	if err != nil {
		return err
	}
	defer redis.Close()
	var contenders []trial.Contender
	for _, way := range publishWays {
		server := pubsub.NewServer()
		if err := server.Start(); err != nil {
			return err
		}
		defer server.Stop()
		if way.bridge != nil {
			bridge, err := redisbridge.Attach(server, way.bridge(redis))
			if err != nil {
				return err
			}
			defer bridge.Close()
		}
		contenders = append(contenders, publishContender(way.name, server))
	}
	r, err := trial.Run(s.Plan, contenders...)
	if err != nil {
		return err
	}
	s.spread("publish: no bridge", r[0], r[1])
	for i, way := range publishWays[2:] {
		s.count("publish: ns that a bridge adds, "+way.name, "", AtMost(150), r[i+2].Min()-r[0].Min(),
			Nanoseconds(r[i+2].Min())+" − "+Nanoseconds(r[0].Min()))
	}
	return nil
}

func publishContender(name string, server *pubsub.Server) trial.Contender {
	events := make(map[string][]string)
	for key, value := range remote.Attributes {
		events[key] = []string{value}
	}
	data := make([]byte, remote.PayloadSize)
	return trial.Contender{Name: name, Sample: func(n int) (float64, error) {
		began := time.Now()
		for range n {
			if err := server.PublishWithEvents(context.Background(), data, events); err != nil {
				return 0, err
			}
		}
		return float64(time.Since(began)) / float64(n), nil
	}}
}
