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

// One goroutine that reads a subscription has moved past a message but not
// copied it yet, while another one reads on: the room of their chunk must not
// be used for other messages. It is free once the last one has been taken.
func TestRoomIsGivenBackOnceAllOfItIsRead(t *testing.T) {
	l, c := sole(t)
	slow, pos := c.read(l)
	require.Len(t, slow.msgs, largeChunk)
	for range largeChunk - 1 {
		at, pos := c.read(l)
		at.take(pos)
	}
	require.False(t, slow.read(), "one message is still to be copied")
	require.Equal(t, firstChunk+4*firstChunk, slow.take(pos).data)
	require.True(t, slow.read())
}

// sole returns a log of one reader, with a large chunk to read.
func sole(t *testing.T) (*log, *cursor) {
	l, c := &log{room: newRoom()}, &cursor{}
	c.join(l)
	const before = firstChunk + 4*firstChunk
	for i := range before + largeChunk {
		if l.full() {
			if first := l.extend(1); first != nil {
				c.at.Store(first)
			}
		}
		l.append(&Message{data: i})
	}
	require.Equal(t, before, c.readBatch(l, make([]Message, before)))
	return l, c
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
