package bars

import (
	"errors"
	"fmt"

	"github.com/harkbus/pubsub/bench/internal/remote"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/redistest"
)

func redisExperiments() []Experiment {
	return []Experiment{
		{Name: "redis: transport", Measure: measureTransport},
		{Name: "redis: end to end", Measure: measureEndToEnd},
		{Name: "redis: publish", Measure: measureBridgedPublish},
		{Name: "redis: cluster", Measure: measureSharding},
		{Name: "redis: subscribe", Measure: measureSubscribing},
		{Name: "redis: promises", Measure: measurePromises},
		{Name: "redis: refusal", Measure: measureRefusal},
		{Name: "redis: black hole", Measure: measureBlackHoles},
		{Name: "redis: migration", Measure: measureMigration},
	}
}

// measureTransport compares opaque payloads through a server of its own.
func measureTransport(s *Session) error {
	r, err := s.carry(remote.HarkLive, remote.HarkLive, remote.HarkDurable, remote.Rueidis, remote.GoRedis, remote.Redigo, remote.Watermill, remote.Mux)
	if err != nil {
		return err
	}
	of := fmt.Sprintf("through Redis, %d bytes: ", remote.PayloadSize)
	s.spread(of+"hark live", r[0], r[1])
	s.compare(of+"rueidis PUBLISH ÷ hark live", "5.8", AtLeast(5), r[3], r[0])
	s.compare(of+"go-redis PUBLISH ÷ hark live", "", Goal{}, r[4], r[0])
	s.compare(of+"redigo PUBLISH ÷ hark live", "", Goal{}, r[5], r[0])
	s.compare(of+"watermill-redisstream ÷ hark durable", "", AtLeast(100), r[6], r[2])
	s.compare(of+"rueidis PUBLISH, received by rueidis ÷ by redismux", "", Goal{}, r[3], r[7])
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
