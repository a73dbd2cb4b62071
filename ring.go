package pubsub

// A ring is a queue of messages in a circular buffer that grows on demand.
//
//	        head          head+n
//	         ▼              ▼
//	┌───┬───┬───┬───┬───┬───┬───┐
//	│   │   │ 0 │ 1 │ 2 │   │   │
//	└───┴───┴───┴───┴───┴───┴───┘
type ring struct {
	buf  []Message
	head int
	n    int
}

// ringOf returns a full ring of messages, which it takes over; nil for none.
func ringOf(messages []Message) *ring {
	if len(messages) == 0 {
		return nil
	}
	return &ring{buf: messages, n: len(messages)}
}

// len returns the number of messages; a nil ring has none.
func (r *ring) len() int {
	if r == nil {
		return 0
	}
	return r.n
}

// push adds m at the end.
func (r *ring) push(m *Message) {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+r.n)%len(r.buf)] = *m
	r.n++
}

// pop takes the first message out. There is one.
func (r *ring) pop() Message {
	m := r.buf[r.head]
	r.buf[r.head] = Message{} // not to keep what was read
	r.head = (r.head + 1) % len(r.buf)
	if r.n--; r.n == 0 && len(r.buf) > largeChunk {
		*r = ring{}
	}
	return m
}

// front returns the first message. There is one.
func (r *ring) front() *Message { return &r.buf[r.head] }

func (r *ring) grow() {
	buf := make([]Message, max(4, 2*len(r.buf)))
	k := copy(buf, r.buf[r.head:])
	copy(buf[k:], r.buf[:r.head])
	r.buf, r.head = buf, 0
}
