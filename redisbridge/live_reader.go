package redisbridge

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/harkbus/pubsub/redismux"
)

// retryRefused is when a channel that Redis refused is asked for again.
const retryRefused = maxBackoff

// A listener keeps one channel subscribed.
type listener struct {
	*member
	part    string // for error reports
	channel string
	message func(frame string) // must not wait
	up      func()             // subscribed, again
	down    func()             // not subscribed any more

	sub  *redismux.ChannelSubscription
	mu   sync.Mutex
	once bool // was up before
	isUp bool
}

// listen subscribes, in a cluster to a sharded channel.
func (l *listener) listen(mux *redismux.Multiplexer) {
	subscribe := mux.NewChannelSubscription
	if l.link.sharded {
		subscribe = mux.NewShardedSubscription
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sub = subscribe(
		func(_ string, message []byte) { l.message(textOf(message)) },
		l.disconnected, l.activated, redismux.WithOnError(l.refused))
	_ = l.sub.Add(l.channel)
}

func (l *listener) activated(string) {
	l.mu.Lock()
	if l.once {
		l.counts.reconnects.Add(1)
	}
	l.once, l.isUp = true, true
	l.mu.Unlock()
	l.notes.works(l.part)
	l.up()
}

func (l *listener) disconnected(cause error) {
	l.mu.Lock()
	wasUp := l.isUp
	l.isUp = false
	l.mu.Unlock()
	if l.ctx.Err() == nil {
		l.counts.failures.Add(1)
		l.notes.fails(l.part, cause)
	}
	if wasUp {
		l.down()
	}
}

// refused asks again after a while: permissions change. A channel that moved to
// another node is asked for there anyway.
func (l *listener) refused(_ string, err error) {
	l.disconnected(err)
	if errors.Is(err, redismux.ErrSlotMoved) {
		return
	}
	time.AfterFunc(retryRefused, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ctx.Err() == nil {
			_ = l.sub.Remove(l.channel)
			_ = l.sub.Add(l.channel)
		}
	})
}

// newLiveReader returns what feeds an inbound from its channel.
func newLiveReader(b *inbound) *listener {
	ready := sync.OnceFunc(b.partReady)
	return &listener{
		member:  b.member,
		part:    "receive on partition " + strconv.Itoa(b.partition),
		channel: namesOfPartition(b.opt.Namespace, b.partition, b.origin).channel,
		message: func(frame string) {
			if frame == "" {
				b.counts.malformed.Add(1)
			} else if !b.inbox.offer(arrival{frame: frame, came: time.Now()}) {
				b.counts.overflow.Add(1)
			}
		},
		up: func() {
			b.inbox.offer(arrival{state: lineUp, came: time.Now()})
			ready()
		},
		down: func() { b.inbox.offer(arrival{state: lineDown, came: time.Now()}) },
	}
}
