package redismux

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// A conn is one subscribed connection of a link.
type conn struct {
	link      *link
	epoch     uint64 // tells it from all others of the Multiplexer
	inbox     *mailbox
	addr      string // of its node, in a cluster
	dedicated rueidis.DedicatedClient

	lost     <-chan error  // gets the cause and is closed by rueidis
	overflow chan struct{} // closed by the reader when a message did not fit
	heard    atomic.Uint64 // messages and confirmations so far

	// owned by rueidis' reader
	full     bool // overflow is closed
	arriving int  // confirmations of the same command still to come

	mu       sync.Mutex
	expected []batch // subscribing commands on their way that are not confirmed yet
}

var errUnknownNode = errors.New("redismux: the client does not know the node")

// dial takes a connection from the current client. When that fails the client
// is given up: the next attempt gets a new one, and with it a fresh view of
// sentinels and cluster.
func (l *link) dial(r *run) (*conn, error) {
	l.mux.stats.dials.Add(1)
	client, err := l.mux.clients.get(r.ctx)
	if err != nil {
		return nil, err
	}
	c, err := l.connect(r, client)
	if err != nil {
		if l.mux.clients.forget(client) {
			r.links.Go(client.Close)
		}
		return nil, err
	}
	return c, nil
}

func (l *link) connect(r *run, client rueidis.Client) (*conn, error) {
	node, addr, err := l.pick(client)
	if err != nil {
		return nil, err
	}
	dedicated, _ := node.Dedicate()
	c := &conn{
		link:      l,
		inbox:     r.inbox,
		addr:      addr,
		dedicated: dedicated,
		overflow:  make(chan struct{}),
	}
	c.lost = dedicated.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: c.onMessage, OnSubscription: c.onSubscription})
	select {
	case err := <-c.lost: // it never was: Dedicate has no error to return
		dedicated.Close()
		return nil, err
	default:
		return c, nil
	}
}

// pick returns the client of the node to connect to.
func (l *link) pick(client rueidis.Client) (node rueidis.Client, addr string, err error) {
	if client.Mode() != rueidis.ClientModeCluster {
		return client, "", nil
	}
	nodes := client.Nodes()
	if l.addr != "" {
		if node = nodes[l.addr]; node == nil {
			return nil, "", fmt.Errorf("%w %s", errUnknownNode, l.addr)
		}
		return node, l.addr, nil
	}
	skip := 0
	if len(nodes) > 1 {
		skip = rand.IntN(len(nodes))
	}
	for addr, node = range nodes {
		if skip == 0 {
			return node, addr, nil
		}
		skip--
	}
	return nil, "", rueidis.ErrNoAddr
}

// onMessage runs on rueidis' reader of the connection: it must not wait.
func (c *conn) onMessage(m rueidis.PubSubMessage) {
	c.heard.Add(1)
	e := event{what: messageCame, kind: channels, name: m.Channel, channel: m.Channel, message: m.Message, link: c.link, epoch: c.epoch}
	switch {
	case m.Pattern != "":
		e.kind, e.name = patterns, m.Pattern
	case c.link.sharded:
		e.kind = shards
	}
	if c.full || !c.inbox.putMessage(e) {
		c.overflowed()
	}
}

// overflowed drops a message, and with it all that follow on the connection:
// what was delivered before OnDisconnect shall have no hole.
func (c *conn) overflowed() {
	c.link.mux.stats.dropped.Add(1)
	if !c.full {
		c.full = true
		close(c.overflow)
	}
}

// onSubscription runs on rueidis' reader of the connection, too.
func (c *conn) onSubscription(s rueidis.PubSubSubscription) {
	c.heard.Add(1)
	k, subscribed := kindOf(s.Kind)
	switch {
	case !subscribed:
		c.takenAway(k, s.Channel)
	case c.arriving > 0:
		c.arriving--
	default:
		c.confirm(k, s.Channel)
	}
}

// expect prepares for the confirmations of commands that are sent now. What is
// left of those sent before was refused: rueidis returns from a command after
// its first confirmation.
func (c *conn) expect(batches []batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected = c.expected[:0]
	for _, b := range batches {
		if b.subscribe {
			c.expected = append(c.expected, b)
		}
	}
}

// confirm takes the first confirmation of a command for all of them: the server
// has put all of its names into effect before it says so, one after another.
func (c *conn) confirm(k kind, first string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.expected {
		if b.kind == k && b.topics[0].name == first {
			c.expected = c.expected[i+1:] // those before it were refused
			c.arriving = len(b.topics) - 1
			c.inbox.put(event{what: confirmed, topics: b.topics, link: c.link, epoch: c.epoch})
			return
		}
	}
}

// takenAway asks for a name again that the server took off the connection by
// itself, as it does with the channels of a slot that moves. Our own
// UNSUBSCRIBE has cleared t.sent before it was sent, and rueidis does not
// return from it before its confirmations.
func (c *conn) takenAway(k kind, name string) {
	m := c.link.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.topics[k][name]
	if t == nil || t.link != c.link || c.link.conn != c || !t.sent {
		return
	}
	t.sent, t.live = false, 0
	c.inbox.put(event{what: topicsInactive, topics: []*topic{t}, err: ErrSlotMoved})
	c.link.queueLocked(t)
}

// ping fails when nobody answers. An answer in the negative is one, too.
func (c *conn) ping(ctx context.Context) error {
	results := c.do(ctx, []rueidis.Completed{c.dedicated.B().Ping().Build()})
	return results[0].NonRedisError()
}

func (c *conn) do(ctx context.Context, commands []rueidis.Completed) []rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, c.link.mux.options.ReplyTimeout)
	defer cancel()
	return c.dedicated.DoMulti(ctx, commands...)
}
