package pubsub

// latent holds the subscriptions that were made while publications with a
// sequence that is not for them are accepted but not dispatched. They begin
// just before the first one that is. It is guarded by the server's mu.
//
//	place.index − first:   0     1     2     3
//	                     ┌─────┬─────┬─────┬─────┐
//	        begun ◀──────│ sub │ nil │ sub │ sub │◀── add
//	                     └─────┴─────┴─────┴─────┘
type latent struct {
	subs  []*Subscription // by rising after; nil where one was removed
	first uint32          // place of subs[0]; those of others stay when some begin
	gone  int             // how many are nil
	sweep sweep
}

// A sweep moves subscriptions to the front, over the places of those that were
// removed, a few with each removal:
//
//	┌─────┬─────┬─────┬─────┬─────┬─────┐
//	│ sub │ sub │ nil │ nil │ sub │ nil │
//	└─────┴─────┴─────┴─────┴─────┴─────┘
//	             ▲ to        ▲ from
type sweep struct {
	under    bool // one is under way
	from, to uint32
}

const sweptAtOnce = 4

func (l *latent) add(sub *Subscription) {
	sub.place.list = inLatent
	l.put(len(l.subs), sub)
	l.subs = append(l.subs, sub)
}

// put notes that sub is subs[i].
func (l *latent) put(i int, sub *Subscription) { sub.place.index = int32(l.first + uint32(i)) }

// remove takes a subscription out that ends before it began.
func (l *latent) remove(sub *Subscription) {
	l.subs[uint32(sub.place.index)-l.first] = nil
	sub.place.list = nowhere
	l.gone++
	l.tidy()
}

// tidy goes on with a sweep, or begins one if more than half are gone. A sweep
// comes to the end however many are added, and then there are no places beyond
// its to.
func (l *latent) tidy() {
	if !l.sweep.under {
		if l.gone <= len(l.subs)/2 {
			return
		}
		l.sweep = sweep{under: true, from: l.first, to: l.first}
	}
	at := &l.sweep
	for range sweptAtOnce {
		from, to := int(at.from-l.first), int(at.to-l.first)
		if from == len(l.subs) {
			l.gone -= from - to
			l.subs = l.subs[:to]
			at.under = false
			return
		}
		if sub := l.subs[from]; sub != nil {
			l.subs[from] = nil
			l.subs[to] = sub
			l.put(to, sub)
			at.to++
		}
		at.from++
	}
}

// begin lets those begin that the publication with a sequence is for. It stops
// after a step, and tells whether there are more.
func (l *latent) begin(sequence uint64) (more bool) {
	for range step {
		if len(l.subs) == 0 || l.subs[0] != nil && l.subs[0].after >= sequence {
			return false
		}
		if sub := l.subs[0]; sub != nil {
			sub.topic.begin(sub)
		} else {
			l.gone--
		}
		l.subs[0] = nil
		l.subs = l.subs[1:]
		if l.sweep.to == l.first { // it goes on behind what has begun
			l.sweep.to++
		}
		if l.sweep.from == l.first {
			l.sweep.from++
		}
		l.first++
	}
	return true
}
