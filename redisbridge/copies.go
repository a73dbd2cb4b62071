package redisbridge

import "bytes"

// pinned is how many times its own size the data of a publication may hold.
const pinned = 4

// copies is room for copies of small data: a few share what is made at once. It
// is for one goroutine.
type copies struct {
	room []byte // what is left
	size int    // of all that was made with it
}

// apart returns data that was decoded out of a frame, and how much memory it
// holds: all of the frame, or a few times itself if that is much less, as a copy.
func (c *copies) apart(data []byte, frame int) (_ []byte, held int) {
	n := len(data)
	switch {
	case pinned*n >= frame:
		return data, frame
	case n == 0:
		return bytes.Clone(data), 0
	case len(c.room) < n || c.size > pinned*n:
		c.size = pinned * n
		c.room = make([]byte, c.size)
	}
	copied := c.room[:n:n]
	copy(copied, data)
	c.room = c.room[n:]
	return copied, c.size
}
