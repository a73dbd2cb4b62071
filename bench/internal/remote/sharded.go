package remote

import (
	"errors"
	"strconv"
	"sync"

	"github.com/redis/rueidis"
)

// Sharded and Unsharded are SPUBLISH and PUBLISH by rueidis on a cluster, 64 to
// a pipeline. Each node has one channel, whose messages are published through
// it, by a goroutine of its own, and received from it.
var (
	Sharded   = Kind{Name: "SPUBLISH", Open: openSharded(true)}
	Unsharded = Kind{Name: "PUBLISH on a cluster", Open: openSharded(false)}
)

type sharded struct {
	client rueidis.Client
	nodes  []shard
}

// A shard is one node with its channel.
type shard struct {
	node    rueidis.Client
	reader  rueidis.DedicatedClient
	command func() rueidis.Completed // publishes once
}

func openSharded(sharding bool) func(addr string, got func()) (Way, error) {
	return func(addr string, got func()) (Way, error) {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
		if err != nil {
			return nil, err
		}
		s := &sharded{client: client}
		for _, node := range client.Nodes() {
			reader, _ := node.Dedicate()
			reader.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) { got() }})
			channel, err := ownChannel(reader, sharding)
			if err != nil {
				return nil, err
			}
			s.nodes = append(s.nodes, shard{node, reader, publishing(node, channel, sharding)})
		}
		return s, nil
	}
}

// ownChannel subscribes to a channel that the node owns, and returns it.
func ownChannel(reader rueidis.DedicatedClient, sharding bool) (string, error) {
	for i := 0; ; i++ {
		channel := "shard" + strconv.Itoa(i)
		err := reader.Do(background, reader.B().Ssubscribe().Channel(channel).Build()).Error()
		if refusal, ok := rueidis.IsRedisErr(err); ok {
			if _, moved := refusal.IsMoved(); moved {
				continue
			}
		}
		if err != nil || sharding {
			return channel, err
		}
		return channel, errors.Join(
			reader.Do(background, reader.B().Sunsubscribe().Channel(channel).Build()).Error(),
			reader.Do(background, reader.B().Subscribe().Channel(channel).Build()).Error())
	}
}

func publishing(node rueidis.Client, channel string, sharding bool) func() rueidis.Completed {
	message := string(payload())
	if sharding {
		return func() rueidis.Completed { return node.B().Spublish().Channel(channel).Message(message).Build() }
	}
	return func() rueidis.Completed { return node.B().Publish().Channel(channel).Message(message).Build() }
}

func (s *sharded) Publish(n int) error {
	errs := make([]error, len(s.nodes))
	var all sync.WaitGroup
	for i, node := range s.nodes {
		share := (n + i) / len(s.nodes)
		all.Go(func() { errs[i] = node.publish(share) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *shard) publish(n int) error {
	return batches(n, func(n int) error {
		commands := make([]rueidis.Completed, n)
		for i := range commands {
			commands[i] = s.command()
		}
		return each(s.node, commands)
	})
}

func (s *sharded) Close() error {
	for _, node := range s.nodes {
		node.reader.Close()
	}
	s.client.Close()
	return nil
}
