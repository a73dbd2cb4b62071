package stream

import "sync/atomic"

// A budget counts the bytes that all connections of a server have queued.
// Nobody waits for it as such: once it is used up, a connection that has
// something queued takes no more until its own queue is written, and one that
// has nothing queued goes on. So the sum stays below the limit plus one frame
// for each connection, and one that keeps up does not wait for one that does
// not.
type budget struct {
	limit int64
	used  atomic.Int64
}

func (b *budget) exceeded() bool { return b.used.Load() >= b.limit }
func (b *budget) take(n int)     { b.used.Add(int64(n)) }
func (b *budget) give(n int)     { b.used.Add(-int64(n)) }
