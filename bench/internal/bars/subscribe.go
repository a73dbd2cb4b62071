package bars

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/harkbus/pubsub/bench/internal/remote"
	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/redis/rueidis"
)

const manyChannels = 10_000

// measureSubscribing compares how long 10,000 channels take until all of them
// are confirmed, on a connection that stands.
func measureSubscribing(s *Session) error {
	redis, err := redistest.NewServer()
	if err != nil {
		return err
	}
	defer redis.Close()
	channels := make([]string, manyChannels)
	for i := range channels {
		channels[i] = "channel:" + strconv.Itoa(i)
	}
	var contenders []trial.Contender
	for _, way := range remote.Subscribing() {
		contenders = append(contenders, trial.Contender{Name: way.Name, Sample: func(n int) (float64, error) {
			var total time.Duration
			for range n {
				took, err := way.Subscribe(redis.Addr, channels)
				if err != nil {
					return 0, err
				}
				total += took
			}
			return float64(total) / float64(n), nil
		}})
	}
	r, err := trial.Run(s.Plan, contenders...)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("subscribe %s channels: ", number(manyChannels))
	s.spread(what+"redismux", r[0], r[1])
	s.compare(what+"redismux ÷ rueidis, one batch of 512 after the other", "", AtMost(1.1), r[0], r[2])
	s.compare(what+"redismux ÷ rueidis, batches of 512 in one pipeline", "", Goal{}, r[0], r[3])
	s.compare(what+"go-redis, batches of 512 ÷ redismux", "", Goal{}, r[4], r[0])
	s.compare(what+"redigo, batches of 512 ÷ redismux", "", Goal{}, r[5], r[0])
	return nil
}

const manyPromises = 10_000

// measurePromises measures what promises cost that wait, and what those keep
// that timed out.
func measurePromises(s *Session) error {
	without, err := redistest.NewServer()
	if err != nil {
		return err
	}
	defer without.Close()
	with, err := redistest.NewServer()
	if err != nil {
		return err
	}
	defer with.Close()
	mux := redismux.New(redismux.FromOption(with.Option()))
	defer mux.Stop()
	sub := mux.NewPromiseSubscription("promise:")
	if err := sub.WaitForActivation(context.Background()); err != nil {
		return err
	}
	if err := s.keptByPromises(sub); err != nil {
		return err
	}
	for i := range manyPromises {
		if _, err := sub.NewPromise(strconv.Itoa(i), time.Hour); err != nil {
			return err
		}
	}
	var contenders []trial.Contender
	for _, server := range []*redistest.Server{with, without, without} {
		client, err := rueidis.NewClient(server.Option())
		if err != nil {
			return err
		}
		defer client.Close()
		contenders = append(contenders, pipelinedPublish(client))
	}
	r, err := trial.Run(s.Plan, contenders...)
	if err != nil {
		return err
	}
	s.spread("PUBLISH without promises", r[1], r[2])
	s.compare(fmt.Sprintf("PUBLISH with %s promises waiting ÷ without any", number(manyPromises)), "", AtMost(1.1), r[0], r[1])
	return nil
}

// pipelinedPublish publishes to a channel that nobody listens to, 64 to a
// pipeline.
func pipelinedPublish(client rueidis.Client) trial.Contender {
	payload := string(make([]byte, remote.PayloadSize))
	return trial.Contender{Name: "PUBLISH", Sample: func(n int) (float64, error) {
		n = max(n, 1024)
		began := time.Now()
		for batch := range slices.Chunk(make([]struct{}, n), 64) {
			commands := make(rueidis.Commands, len(batch))
			for i := range commands {
				commands[i] = client.B().Publish().Channel("elsewhere").Message(payload).Build()
			}
			for _, result := range client.DoMulti(context.Background(), commands...) {
				if err := result.Error(); err != nil {
					return 0, err
				}
			}
		}
		return float64(time.Since(began)) / float64(n), nil
	}}
}

// keptByPromises reports how many bytes of the heap a promise leaves behind
// that timed out.
func (s *Session) keptByPromises(sub *redismux.PromiseSubscription) error {
	const promises = 100_000
	var err error
	expire := func(n int) any {
		var last *redismux.Promise
		for i := 0; i < n && err == nil; i++ {
			last, err = sub.NewPromise(strconv.Itoa(i), time.Millisecond)
		}
		if err == nil {
			<-last.C
		}
		return nil
	}
	expire(promises) // what grows once stays
	kept := held(func() any { return expire(promises) })
	s.count("bytes that a promise keeps after its timeout", "", AtMost(0), max(0, math.Round(kept/promises)),
		fmt.Sprintf("%s bytes of the heap, %s promises", Figure(kept), number(promises)))
	return err
}
