package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
)

// ReplyAttribute is the key that a request has besides its own: where to reply.
const ReplyAttribute = "hark.reply"

var (
	// ErrNoRequest is returned by Reply for a message that is no request.
	ErrNoRequest = errors.New("redisbridge: the message is not a request")

	// ErrNobodyWaits is returned by Reply when the process that asked is gone.
	ErrNobodyWaits = errors.New("redisbridge: nobody waits for the reply")
)

// requests are the requests of this process that wait for a reply. Replies
// come to one exact channel per process, the inbox: each pattern in Redis would
// cost every publication.
type requests struct {
	*member
	gate   gate // of the inbox
	listen sync.Once
	up     chan struct{} // closed when the inbox is subscribed, for the first time

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan Received // capacity 1
}

func newRequests(m *member) *requests {
	return &requests{member: m, gate: m.gate.at(m.names.inbox), up: make(chan struct{}), waiting: make(map[uint64]chan Received)}
}

// Request publishes a request and returns the first reply. The request is a
// publication like any other, with one attribute more: ReplyAttribute. Whoever
// subscribes to what it matches, in this process or another, may call Reply.
// Replies go through Pub/Sub in both modes: if one is lost, or if there is
// nobody to reply, Request returns the error of ctx.
func (b *Bridge) Request(ctx context.Context, data any, events map[string][]string) (Received, error) {
	r := b.requests
	if err := r.awaitInbox(ctx); err != nil {
		return Received{}, err
	}
	id, replies := r.add()
	defer r.remove(id)
	asked := make(map[string][]string, len(events)+1)
	for key, values := range events {
		asked[key] = values
	}
	asked[ReplyAttribute] = []string{originText(b.origin) + ":" + strconv.FormatUint(id, 10)}
	if err := b.Publish(ctx, data, asked); err != nil {
		return Received{}, err
	}
	select {
	case reply := <-replies:
		return reply, nil
	case <-b.done:
		return Received{}, b.err()
	case <-ctx.Done():
		return Received{}, fmt.Errorf("redisbridge: no reply: %w", context.Cause(ctx))
	}
}

// Reply answers a request that was received as m. It returns ErrNoRequest,
// ErrNobodyWaits, ErrTooLarge, why data cannot be encoded, or why Redis could
// not be reached.
func (b *Bridge) Reply(ctx context.Context, m pubsub.Message, data any, events map[string][]string) error {
	to, id, err := replyAddress(m)
	if err != nil {
		return err
	}
	if to == b.origin {
		if !b.requests.give(id, Received{Data: data, Events: events, Origin: &b.origin, Time: m.Time()}) {
			return ErrNobodyWaits
		}
		return nil
	}
	client, err := b.awaitLayout(ctx) // then the clock of Redis is known, too
	if err != nil {
		return b.endedOr(err)
	}
	inbox := namesOfNamespace(b.opt.Namespace, to).inbox
	frame, err := b.replyFrame(inbox, id, data, events)
	if err != nil {
		return err
	}
	heard, err := client.Do(ctx, b.link.publishing(client, inbox, frame)).AsInt64()
	if err == nil && heard == 0 {
		err = ErrNobodyWaits
	}
	return err
}

// replyAddress reads where a request wants its reply: name, epoch and number of
// the request.
func replyAddress(m pubsub.Message) (to pubsub.Origin, id uint64, err error) {
	var address string
	for address = range m.Values(ReplyAttribute) {
		break
	}
	parts := strings.Split(address, ":")
	n := len(parts)
	if n < 3 {
		return to, 0, ErrNoRequest
	}
	to.Name = strings.Join(parts[:n-2], ":")
	epoch, errEpoch := strconv.ParseUint(parts[n-2], 16, 64)
	id, errID := strconv.ParseUint(parts[n-1], 10, 64)
	if errEpoch != nil || errID != nil || len(to.Name) > maxName || !isFitForKey(to.Name) {
		return to, 0, ErrNoRequest
	}
	to.Epoch = epoch
	return to, id, nil
}

// replyFrame encodes a reply to whoever listens to inbox: its sequence is the
// number of the request, its payload one event.
func (b *Bridge) replyFrame(inbox string, id uint64, data any, events map[string][]string) (string, error) {
	f := beginEvent(appendHeader(nil, &header{
		kind: kindReply, codec: b.opt.Codec.ID(), partition: noPartition, first: id, stamp: b.clock.at(time.Now()),
		epoch: b.origin.Epoch, name: b.origin.Name, namespace: b.opt.Namespace,
	}))
	begun := len(f)
	e := encoder{types: b.opt.Types, codec: b.opt.Codec}
	f, err := e.append(f, pubsub.NewMessage(data, events))
	if err != nil {
		return "", err
	}
	endEvent(f, begun)
	f = finish(f, 0, b.sign.at(inbox))
	if len(f) > b.opt.MaxFrame {
		return "", fmt.Errorf("%w: its frame would have %d bytes, at most %d are allowed", ErrTooLarge, len(f), b.opt.MaxFrame)
	}
	return string(f), nil
}

// awaitInbox waits until replies can arrive. The first request subscribes.
func (r *requests) awaitInbox(ctx context.Context) error {
	r.listen.Do(func() {
		r.keepSubscribed(&listener{
			member: r.member, part: "replies", channel: r.names.inbox, message: r.hear,
			up: sync.OnceFunc(func() { close(r.up) }), down: func() {},
		})
	})
	select {
	case <-r.up:
		return nil
	case <-r.done:
		return r.err()
	case <-ctx.Done():
		return fmt.Errorf("redisbridge: request: %w%s", context.Cause(ctx), r.notes.lastText())
	}
}

func (r *requests) hear(text string) {
	h, payload, err := r.gate.open(text, noPartition)
	switch {
	case err != nil:
	case h.kind != kindReply:
		err = errMalformed
	case abs(r.clock.at(time.Now())-h.stamp) > freshness.Microseconds():
		err = errStale
	}
	if reason, refused := err.(refusal); refused {
		r.counts.refuse(reason)
		return
	}
	r.answer(&h, payload)
}

// answer gives a reply to the request that waits for it.
func (r *requests) answer(h *header, payload []byte) {
	reply := Received{Origin: &pubsub.Origin{Name: strings.Clone(h.name), Epoch: h.epoch}}
	c, err := r.codecs.Find(h.codec)
	if err == nil {
		err = r.decodeReply(c, payload, &reply)
	}
	if err != nil {
		r.counts.undecodable.Add(1)
		r.notes.tell("decode", err)
		return
	}
	r.give(h.first, reply)
}

func (r *requests) decodeReply(c codec.Codec, payload []byte, reply *Received) error {
	raw, _, err := cutEvent(payload)
	if err != nil {
		return err
	}
	var e codec.Event
	if err := codec.Decode(c, raw, &e); err != nil {
		return err
	}
	reply.Events, reply.Time = e.Events, e.Time
	reply.Data, err = r.opt.Types.Decode(e.Type, e.Data)
	return err
}

func (r *requests) add() (id uint64, replies chan Received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	replies = make(chan Received, 1)
	r.waiting[r.last] = replies
	return r.last, replies
}

func (r *requests) remove(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

// give hands a reply over; only the first counts.
func (r *requests) give(id uint64, reply Received) (taken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	replies := r.waiting[id]
	delete(r.waiting, id)
	if replies != nil {
		replies <- reply
	}
	return replies != nil
}
