package match

import (
	"math"
	"strings"

	"github.com/harkbus/pubsub/internal/decimal"
	"github.com/harkbus/pubsub/internal/instant"
	"github.com/harkbus/pubsub/query"
)

// An event is the publication in hand. What matching needs to know about it is
// found out when it is first asked for, once:
//
//	key ─▶ attribute ─▶ values, and per scale their coordinates and hull
type event struct {
	number uint64 // counts events; what an earlier one left behind is told by it
	keys   map[string][]string
	read   []uint32 // keys whose attribute was asked for

	projections []projection
	coordinates []int64

	numbers  summaries[decimal.Number]
	instants summaries[instant.Instant]
	texts    summaries[string]
	scale    query.Scale // for queries that have no record
	left     int64       // steps that the query in hand may take
	spare    int64       // steps that all queries and nodes together may still take
	due      int64       // steps that heavy values take in the node in hand
	digests  digests

	types     []uint32 // keys that are the type part of another
	typesOf   uint64   // the event that types is of
	present   []uint32 // keys of the event, and types
	presentOf uint64
}

// An attribute is one key of the event.
type attribute struct {
	of       uint64 // the event it was read from
	typed    uint64 // the last event that had a key of which this one is the type
	values   []string
	on       [scales]uint32 // 1 + index in event.projections, 0 if not projected yet
	summed   [scales]uint32 // 1 + index in event.numbers, instants or texts, 0 if not summed up yet
	asked    uint32         // how often values that are many or long were looked at
	searched uint32         // in what ways the values were looked up already
	digests  uint32         // 1 + index of the first in event.digests, 0 if there is none yet
	size     int64          // of the values, perValue more for each; 0 if not known yet
}

const perValue = 16 // bytes, as package query counts

// weight returns the size of the values.
func (a *attribute) weight() int64 {
	if a.size == 0 {
		for _, v := range a.values {
			a.size += int64(len(v)) + perValue
		}
	}
	return a.size
}

// A projection is the values of an attribute on one scale. Its hull is all
// that a condition on an order needs: some value is above x if the highest is.
type projection struct {
	first     int   // index of the first value in event.coordinates
	low, high int64 // low > high if no value is on the scale
	rests     [2]uint64
	rested    [2]bool // whether the rest of high and, counted downwards, of low is known
}

// attribute returns what the event has under a key.
func (c *core) attribute(key uint32) *attribute {
	k := c.key(key)
	if k.of != c.event.number {
		c.take(key, c.event.keys[k.name])
	}
	return &k.attribute
}

func (c *core) take(key uint32, values []string) {
	a := &c.key(key).attribute
	a.of = c.event.number
	a.values = values
	a.on, a.summed = [scales]uint32{}, [scales]uint32{}
	a.asked, a.size, a.searched, a.digests = 0, 0, 0, 0
	c.event.read = append(c.event.read, key)
}

// project places the values of an attribute on a scale.
func (ev *event) project(a *attribute, s scale) projection {
	if i := a.on[s]; i > 0 {
		return ev.projections[i-1]
	}
	p := projection{first: len(ev.coordinates), low: math.MaxInt64, high: none}
	for _, v := range a.values {
		at := coordinate(s, v)
		ev.coordinates = append(ev.coordinates, at)
		if at != none {
			p.low, p.high = min(p.low, at), max(p.high, at)
		}
	}
	ev.projections = append(ev.projections, p)
	a.on[s] = uint32(len(ev.projections))
	return p
}

// remainder returns the remainder of the highest value of an attribute, or, for
// an upper bound, counted downwards, of the lowest.
func (ev *event) remainder(a *attribute, b bound) uint64 {
	p := &ev.projections[a.on[b.scale]-1]
	end, turn, which := p.high, uint64(0), 0
	if b.upper {
		end, turn, which = p.low, ^turn, 1
	}
	if p.rested[which] {
		return p.rests[which]
	}
	for i, v := range a.values {
		if ev.coordinates[p.first+i] == end {
			p.rests[which] = max(p.rests[which], remainder(b.scale, v, end)^turn)
		}
	}
	p.rested[which] = true
	return p.rests[which]
}

// begin takes an event in hand, for which so many steps are spare.
func (ev *event) begin(events map[string][]string, spare int64) {
	ev.number++
	ev.keys = events
	ev.scale.Put(events)
	ev.projections, ev.coordinates = ev.projections[:0], emptied(ev.coordinates)
	ev.spare = spare
}

// end lets go of the event.
func (c *core) end() {
	ev := &c.event
	for _, key := range ev.read {
		c.key(key).values = nil
	}
	ev.read, ev.keys = emptied(ev.read), nil
	ev.scale.Put(nil)
	ev.numbers.clear()
	ev.instants.clear()
	ev.texts.clear()
	ev.digests.clear()
}

const usual = 1 << 14

// emptied returns the memory of a slice for the next event, but lets go of what
// an unusual event took.
func emptied[T any](s []T) []T {
	if cap(s) > usual {
		return nil
	}
	return s[:0]
}

// isType reports whether some key of the event has this one as its type.
func (c *core) isType(key uint32) bool {
	c.readTypes()
	return c.key(key).typed == c.event.number
}

// readTypes finds the keys that are the type of a key of the event, which is
// all that stands before its last dot.
func (c *core) readTypes() {
	ev := &c.event
	if ev.typesOf == ev.number {
		return
	}
	ev.typesOf, ev.types = ev.number, emptied(ev.types)
	for key := range ev.keys {
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			continue
		}
		if k, ok := c.find(key[:dot]); ok && c.key(k).typed != ev.number {
			c.key(k).typed = ev.number
			ev.types = append(ev.types, k)
		}
	}
}

// presentKeys returns the keys that something may be filed under for this
// event: those that queries ask for and it has, as a key or as a type.
func (c *core) presentKeys() []uint32 {
	ev := &c.event
	if ev.presentOf == ev.number {
		return ev.present
	}
	ev.presentOf, ev.present = ev.number, emptied(ev.present)
	for name, values := range ev.keys {
		if key, ok := c.find(name); ok && len(values) > 0 {
			if c.key(key).of != ev.number {
				c.take(key, values)
			}
			ev.present = append(ev.present, key)
		}
	}
	c.readTypes()
	for _, key := range ev.types {
		if len(c.attribute(key).values) == 0 {
			ev.present = append(ev.present, key)
		}
	}
	return ev.present
}
