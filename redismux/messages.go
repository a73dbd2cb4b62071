package redismux

import (
	"context"
	"iter"
	"sync"
)

// A Message is one that Messages yields.
type Message struct {
	Channel string
	Data    []byte // shared by all that get it: do not modify it
}

// Messages subscribes to channels at the first step of the loop and yields what
// comes to them. Once they are active it misses nothing up to the error, which
// comes last: [ErrOverflow] when more than Options.BufferBytes waited for the
// loop, the cause when the connection was lost or a channel refused, and the
// cause of ctx. Leaving the loop removes the channels.
//
// It must not be ranged over in a callback.
func (m *Multiplexer) Messages(ctx context.Context, channels ...string) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		s := &stream{filled: make(chan struct{}, 1), limit: m.options.BufferBytes}
		sub := m.NewChannelSubscription(s.onMessage, s.fail, nil, WithOnError(func(_ string, err error) { s.fail(err) }))
		defer sub.Close()
		_ = sub.Add(channels...) // nobody else can have closed it
		for {
			message, err := s.next(ctx)
			if !yield(message, err) || err != nil {
				return
			}
		}
	}
}

// A stream holds what waits for one loop.
type stream struct {
	filled chan struct{} // a token when messages or err may be set
	limit  int           // of bytes

	mu       sync.Mutex
	messages []Message
	bytes    int
	err      error // what comes after the messages; nothing is added to them then
}

func (s *stream) onMessage(channel string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	size := len(channel) + len(data) + overhead
	if s.bytes > 0 && s.bytes+size > s.limit {
		s.failLocked(ErrOverflow)
		return
	}
	s.bytes += size
	s.messages = append(s.messages, Message{channel, data})
	s.notifyLocked()
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *stream) failLocked(err error) {
	if s.err == nil {
		s.err = err
	}
	s.notifyLocked()
}

func (s *stream) notifyLocked() {
	select {
	case s.filled <- struct{}{}:
	default:
	}
}

func (s *stream) next(ctx context.Context) (Message, error) {
	for {
		if message, err, ok := s.poll(); ok {
			return message, err
		}
		select {
		case <-s.filled:
		case <-ctx.Done():
			return Message{}, context.Cause(ctx)
		}
	}
}

func (s *stream) poll() (Message, error, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.messages) == 0 {
		return Message{}, s.err, s.err != nil
	}
	message := s.messages[0]
	s.messages[0] = Message{}
	s.messages = s.messages[1:]
	s.bytes -= len(message.Channel) + len(message.Data) + overhead
	return message, nil, true
}
