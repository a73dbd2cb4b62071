package pubsub

import "slices"

// latent holds the subscriptions that were made while publications with a
// sequence that is not for them are accepted but not dispatched. They begin
// just before the first one that is. It is guarded by the server's mu.
type latent struct {
	subs []*Subscription // by rising after; nil where one was removed
	gone int             // how many are nil
}

func (l *latent) add(sub *Subscription) {
	sub.place.list, sub.place.index = inLatent, int32(len(l.subs))
	l.subs = append(l.subs, sub)
}

// remove takes a subscription out that ends before it began.
func (l *latent) remove(sub *Subscription) {
	l.subs[sub.place.index] = nil
	sub.place.list = nowhere
	if l.gone++; l.gone > len(l.subs)/2 {
		l.subs = slices.DeleteFunc(l.subs, func(sub *Subscription) bool { return sub == nil })
		l.gone = 0
		for i, sub := range l.subs {
			sub.place.index = int32(i)
		}
	}
}

// begin lets those begin that the publication with a sequence is for.
func (l *latent) begin(sequence uint64) {
	n := 0
	for ; n < len(l.subs); n++ {
		sub := l.subs[n]
		if sub == nil {
			l.gone--
			continue
		}
		if sub.after >= sequence {
			break
		}
		sub.topic.begin(sub)
	}
	if n == 0 {
		return
	}
	l.subs = slices.Delete(l.subs, 0, n)
	for i, sub := range l.subs {
		if sub != nil {
			sub.place.index = int32(i)
		}
	}
}
