package pubsub

import "slices"

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
}

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
	if l.gone++; l.gone > len(l.subs)/2 {
		l.subs = slices.DeleteFunc(l.subs, func(sub *Subscription) bool { return sub == nil })
		l.gone = 0
		for i, sub := range l.subs {
			l.put(i, sub)
		}
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
		l.first++
	}
	return true
}
