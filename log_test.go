package pubsub

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// In the package, because no caller can stop a reader between two loads: one
// that slept while its cursor left an emptied log and came back would look for
// its new position in its old chunk, and find an entry that was never written.
func TestChunkOfAForgottenLogHoldsNoNewPosition(t *testing.T) {
	l := &log{}
	c := &cursor{}
	c.join(l)
	c.at.Store(l.extend(2))
	l.append(&Message{data: 1})
	at, _ := c.read(l)
	require.NotNil(t, at)

	asleep, pos := c.at.Load(), c.word.Load()
	_, ok := c.leave(pos, l.tail.Load())
	require.True(t, ok)
	l.forget()
	c.join(l)
	c.at.Store(l.extend(2))
	l.append(&Message{data: 2})

	require.Nil(t, asleep.holding(c.word.Load()))
	at, pos = c.read(l)
	require.NotNil(t, at)
	require.Equal(t, 2, at.take(pos).data)
}

// A log of many unread messages is shared with one that leaves: nothing but
// the parts of its first and last chunk is copied, whatever there is.
func TestUnreadMessagesAreSharedNotCopied(t *testing.T) {
	const n = 10_000
	l, c := &log{}, &cursor{}
	c.join(l)
	for i := range n {
		if l.full() {
			if first := l.extend(100); first != nil {
				c.at.Store(first)
			}
		}
		l.append(&Message{data: i})
	}
	for i := range 10 {
		at, pos := c.read(l)
		require.Equal(t, i, at.take(pos).data)
	}
	unread, ok := c.leave(10, n-10)
	require.True(t, ok)
	copied := 0
	for r := unread.first; r != nil; r = r.next {
		if !r.shared {
			copied += len(r.msgs)
		}
	}
	require.LessOrEqual(t, copied, 2*largeChunk)
	for i := 10; i < n-10; i++ {
		require.Equal(t, i, unread.pop().data)
	}
	require.Zero(t, unread.len())
}
