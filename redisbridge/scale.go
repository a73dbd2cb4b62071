package redisbridge

import (
	"slices"

	"github.com/harkbus/pubsub"
)

const (
	// maxGuessed is how many items of an outbox may have a guess for a size.
	// With more, publishers weigh what they offer themselves.
	maxGuessed = 1024

	weighAt     = maxGuessed / 4 // where whoever takes is told that there is much to weigh
	weighAtOnce = 32
	leastPerKey = 64 // bytes that a guess counts for a key and its values, at least
)

// A scale weighs the items of an outbox for whoever takes them. The publisher
// goes on meanwhile:
//
//	locked     the messages are copied out
//	unlocked   their attributes are looked at
//	locked     the sizes are put in, for those items that are still there
//
// So an outbox holds at most maxGuessed items whose size is a guess, for as long
// as a goroutine takes to be scheduled, and each key of those counts as much as
// the heaviest of the weighing before.
type scale struct {
	measure
	guesses []guess // being weighed

	// Of the guesses in hand.
	messages []pubsub.Message // the zero Message: the item is gone
	sizes    []int
	heaviest int // bytes of a key
}

// A guess is an item whose size is one. The item is gone when it has another
// ticket.
type guess struct {
	*item
	of uint64 // its ticket
}

// weighGuessed replaces all guesses of now.
func (o *outbox) weighGuessed(s *scale) {
	o.mu.Lock()
	s.guesses, o.guessed = o.guessed, s.guesses[:0]
	o.mu.Unlock()
	if len(s.guesses) == 0 {
		return
	}
	s.heaviest = leastPerKey
	for some := range slices.Chunk(s.guesses, weighAtOnce) {
		o.copyOut(s, some)
		s.weigh()
		o.putIn(s, some)
	}
	clear(s.guesses)
	clear(s.messages)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.perKey = s.heaviest
	o.grantRoom()
}

// copyOut copies the messages of items that are still there.
func (o *outbox) copyOut(s *scale, guesses []guess) {
	s.messages, s.sizes = s.messages[:0], s.sizes[:0]
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range guesses {
		if g.ticket == g.of {
			s.messages = append(s.messages, g.message)
		} else {
			s.messages = append(s.messages, pubsub.Message{})
		}
	}
}

func (s *scale) weigh() {
	for _, m := range s.messages {
		s.sizes = append(s.sizes, s.sizeOf(m))
		s.heaviest = max(s.heaviest, s.bytes/max(s.keys, 1))
	}
}

// putIn gives the items that are still there their sizes.
func (o *outbox) putIn(s *scale, guesses []guess) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, g := range guesses {
		if g.ticket == g.of {
			o.queued.bytes += s.sizes[i] - g.size
			g.item.size = s.sizes[i]
		}
	}
}

// remember takes note that the size of an item is a guess. The caller holds
// o.mu.
func (o *outbox) remember(i *item) {
	o.guessed = append(o.guessed, guess{i, i.ticket})
	if len(o.guessed) != weighAt {
		return
	}
	select {
	case o.weigh <- struct{}{}:
	default:
	}
}

// isGuess tells whether the size of an item may be a guess. The caller holds
// o.mu.
func (o *outbox) isGuess(i *item) bool {
	return len(o.guessed) > 0 && i.ticket >= o.guessed[0].of
}
