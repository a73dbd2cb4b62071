package pubsub

// A dueHeap holds the subscriptions that read a log, the one to be looked at
// first at the top:
//
//	due = cursor when last looked at + capacity
//
// A message at a position below due fits into the buffer whatever the reader
// does, so the dispatcher need not look at the cursor, which the reader's core
// has written, until then. Each subscription is looked at about once per
// capacity messages.
type dueHeap []due

type due struct {
	at  uint64 // position of the first message that may not fit
	sub *Subscription
}

func (h *dueHeap) add(sub *Subscription, at uint64) {
	*h = append(*h, due{at, sub})
	sub.place.list = inDue
	h.up(len(*h) - 1)
}

// postpone moves the due of a subscription to a later position.
func (h dueHeap) postpone(sub *Subscription, at uint64) {
	i := int(sub.place.index)
	h[i].at = at
	h.down(i)
}

func (h *dueHeap) remove(sub *Subscription) {
	i, last := int(sub.place.index), len(*h)-1
	moved := (*h)[last]
	(*h)[last] = due{}
	*h = (*h)[:last]
	if i != last {
		(*h)[i] = moved
		h.down(i)
		h.up(i)
	}
	sub.place.list = nowhere
}

func (h dueHeap) up(i int) {
	for d := h[i]; ; {
		parent := (i - 1) / 2
		if i == 0 || h[parent].at <= d.at {
			h.put(i, d)
			return
		}
		h.put(i, h[parent])
		i = parent
	}
}

func (h dueHeap) down(i int) {
	for d := h[i]; ; {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].at < h[child].at {
			child++
		}
		if child >= len(h) || h[child].at >= d.at {
			h.put(i, d)
			return
		}
		h.put(i, h[child])
		i = child
	}
}

func (h dueHeap) put(i int, d due) {
	h[i] = d
	d.sub.place.index = int32(i)
}
