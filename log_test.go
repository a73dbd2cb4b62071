package pubsub

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// In the package, because no caller can stop a reader between two loads: one
// that slept while its cursor left an emptied log and came back would find its
// old position valid, and its old chunk without the message.
func TestCursorThatComesBackIsNotWhereItWas(t *testing.T) {
	l := &log{}
	c := &cursor{}
	c.join(l)
	c.at.Store(l.extend())
	l.append(&Message{data: 1})
	_, ok := c.read(l)
	require.True(t, ok)

	asleep, pos := c.at.Load(), c.pos.Load()
	_, ok = c.leave(pos, l.tail.Load())
	require.True(t, ok)
	l.forget()
	c.join(l)
	c.at.Store(l.extend())
	l.append(&Message{data: 2})

	require.Zero(t, *asleep.message(pos), "the old chunk has no such message")
	require.NotEqual(t, pos, c.pos.Load(), "so its position must not be taken for valid")
	m, ok := c.read(l)
	require.True(t, ok)
	require.Equal(t, 2, m.data)
}
