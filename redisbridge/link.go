package redisbridge

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub/internal/progress"
)

// A link holds the client of a bridge, which exists once Redis has answered
// for the first time and then reconnects by itself.
type link struct {
	option rueidis.ClientOption
	line   *progress.Line // of all connections
	probe  string         // a channel to try sharded Pub/Sub on

	sharded bool // channels are sharded; written before up is closed

	mu     sync.Mutex
	client rueidis.Client
	closed bool

	up chan struct{} // closed when client is there
}

func newLink(o *Options, probe string) *link {
	line := progress.NewLine(o.Timeout, o.KeepAlive)
	return &link{option: o.dialOptions(line), line: line, probe: probe, up: make(chan struct{})}
}

// dial tries once to make the client.
func (l *link) dial(ctx context.Context) error {
	client, err := rueidis.NewClient(l.option)
	if err != nil {
		return err
	}
	l.sharded = shards(ctx, client, l.probe)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		client.Close()
		return nil
	}
	l.client = client
	close(l.up)
	return nil
}

// get waits for the client.
func (l *link) get(ctx context.Context) (rueidis.Client, error) {
	select {
	case <-l.up:
		return l.client, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *link) isUp() bool {
	select {
	case <-l.up:
		return true
	default:
		return false
	}
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.client != nil {
		l.client.Close()
	}
}

// shards tells whether channels are to be sharded: in a cluster, unless its
// servers are older than Redis 7 and know only channels of the whole cluster.
func shards(ctx context.Context, client rueidis.Client, probe string) bool {
	if client.Mode() != rueidis.ClientModeCluster {
		return false
	}
	err := client.Do(ctx, client.B().Spublish().Channel(probe).Message("").Build()).Error()
	return err == nil || !strings.Contains(err.Error(), "unknown command")
}

// publishing returns the command that publishes a frame on a channel.
func (l *link) publishing(client rueidis.Client, channel, frame string) rueidis.Completed {
	if l.sharded {
		return client.B().Spublish().Channel(channel).Message(frame).Build()
	}
	return client.B().Publish().Channel(channel).Message(frame).Build()
}

// A line is a connection of one reader: nothing else waits behind what it
// does. close ends it.
type line struct {
	rueidis.DedicatedClient
	close func()
}

// dedicate takes a connection for commands of one slot. In a cluster, addr may
// name the node that a MOVED told of, because the client learns of it only a
// second later.
func (l *link) dedicate(client rueidis.Client, addr string) line {
	if addr != "" {
		if node, ok := client.Nodes()[addr]; ok {
			client = node
		}
	}
	conn, release := client.Dedicate()
	return line{conn, func() { conn.Close(); release() }}
}

// movedTo returns the address in a MOVED error, or "".
func movedTo(err error) string {
	var e *rueidis.RedisError
	if errors.As(err, &e) {
		if addr, moved := e.IsMoved(); moved {
			return addr
		}
	}
	return ""
}

// hasCode tells whether err is an error reply with the given first word.
func hasCode(err error, code string) bool {
	var e *rueidis.RedisError
	return errors.As(err, &e) && strings.HasPrefix(e.Error(), code)
}
