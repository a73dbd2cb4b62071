package pubsub

import "sync/atomic"

// A turnstile numbers the publications that a server accepts and lets one
// goroutine at a time dispatch them. All of it is one word, so that accepting
// a publication and taking the right to dispatch it is one step:
//
//	63                        3         2        1      0
//	┌──────────────────────────┬─────────┬────────┬──────┐
//	│ last sequence given      │ waiting │ closed │ busy │
//	└──────────────────────────┴─────────┴────────┴──────┘
//
//	busy     somebody has the pass: the right and the duty to dispatch what
//	         has been accepted
//	closed   nothing is accepted any more
//	waiting  a publisher waits for room in the queue
//
// Whoever enters an idle turnstile has the pass. It gives it back with leave,
// which fails if anything happened meanwhile; then the pass goes to the
// server's goroutine, which alone gives it back with idle.
type turnstile struct{ word atomic.Uint64 }

const (
	busy    = 1 << 0
	closed  = 1 << 1
	waiting = 1 << 2

	oneSequence = 1 << 3
)

// A pass is the word of the turnstile as enter left it.
type pass uint64

func (p pass) sequence() uint64 { return uint64(p) / oneSequence }
func (p pass) busy() bool       { return p&busy != 0 }
func (p pass) closed() bool     { return p&closed != 0 }
func (p pass) awaited() bool    { return p&waiting != 0 } // maybe: some time since it was idle

// look returns the word as it is now.
func (t *turnstile) look() pass { return pass(t.word.Load()) }

// enter accepts a publication and takes the pass, if nobody has it.
func (t *turnstile) enter() (pass, bool) {
	w := t.word.Load()
	if w&(busy|closed|waiting) != 0 {
		return 0, false
	}
	p := (w + oneSequence) | busy
	return pass(p), t.word.CompareAndSwap(w, p)
}

// leave gives the pass back, unless something was accepted, waits or was
// closed since enter.
func (t *turnstile) leave(p pass) bool {
	return t.word.CompareAndSwap(uint64(p), uint64(p)&^busy)
}

// accept numbers a publication that goes to the queue, if the word is still p.
func (t *turnstile) accept(p pass) (sequence uint64, ok bool) {
	next := p + oneSequence
	return next.sequence(), t.word.CompareAndSwap(uint64(p), uint64(next))
}

// wait says that a publisher waits, if the word is still p.
func (t *turnstile) wait(p pass) bool {
	return t.word.CompareAndSwap(uint64(p), uint64(p)|waiting)
}

// close lets nothing in any more. It tells whether the caller has the pass
// now, because nobody had it.
func (t *turnstile) close() bool {
	return !pass(t.word.Or(closed | busy)).busy()
}

// idle gives the pass of the server's goroutine back, if the word is still p.
func (t *turnstile) idle(p pass) bool {
	return t.word.CompareAndSwap(uint64(p), uint64(p)&^(busy|waiting))
}

// reserve opens the turnstile with the pass taken: for a server that has not
// started yet.
func (t *turnstile) reserve() {
	t.word.Store(t.word.Load()&^(closed|waiting) | busy)
}
