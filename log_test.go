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
	c.at.Store(l.extend())
	l.append(&Message{data: 1})
	require.NotNil(t, c.read(l))

	asleep, pos := c.at.Load(), c.word.Load()
	_, ok := c.leave(pos, l.tail.Load())
	require.True(t, ok)
	l.forget()
	c.join(l)
	c.at.Store(l.extend())
	l.append(&Message{data: 2})

	require.Nil(t, asleep.holding(c.word.Load()))
	m := c.read(l)
	require.NotNil(t, m)
	require.Equal(t, 2, m.data)
}
