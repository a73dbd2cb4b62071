package match

import "github.com/harkbus/pubsub/query"

// few is the number of queries up to which trying all is faster than looking
// them up.
const few = 8

// A core is an [Index] without its values: it deals in positions.
type core struct {
	live  dense[held] // by position: 0 … n-1, so that removing moves the last
	slots dense[slot] // by the lower half of an ID
	free  uint32      // 1 + first free slot

	stats Stats
	found []uint32 // positions of what the event in hand matches
}

// A held is one query in the index.
type held struct {
	query *query.Query
	slot  uint32
}

// A slot leads from an ID to a query, and outlives it.
type slot struct {
	generation uint32 // of the query it holds, or last held: the upper half of the ID
	position   uint32 // in live; in a free slot, 1 + the next free slot
}

func (c *core) init() {}

func (c *core) add(q *query.Query) ID {
	slotAt := c.takeSlot()
	s := c.slots.at(slotAt)
	s.position = c.live.push(held{query: q, slot: slotAt})
	return ID(s.generation)<<32 | ID(slotAt)
}

func (c *core) takeSlot() uint32 {
	if c.free == 0 {
		return c.slots.push(slot{generation: 1})
	}
	at := c.free - 1
	s := c.slots.at(at)
	c.free = s.position
	s.generation++
	return at
}

// remove returns the position that the query had. The last query has it now.
func (c *core) remove(id ID) (position uint32, ok bool) {
	position, ok = c.position(id)
	if !ok {
		return 0, false
	}
	at := uint32(id)
	c.live.removeAt(position)
	if position < c.live.n {
		c.slots.at(c.live.at(position).slot).position = position
	}
	c.slots.at(at).position, c.free = c.free, at+1
	return position, true
}

// position finds a query that is in the index.
func (c *core) position(id ID) (position uint32, ok bool) {
	at := uint32(id)
	if at >= c.slots.n || c.slots.at(at).generation != uint32(id>>32) {
		return 0, false
	}
	position = c.slots.at(at).position
	return position, position < c.live.n && c.live.at(position).slot == at
}

// match returns the positions of the queries that match, until the next call.
func (c *core) match(events map[string][]string) []uint32 {
	c.found = c.found[:0]
	c.stats.Events++
	for i := range c.live.n {
		c.stats.Candidates++
		if ok, _ := c.live.at(i).query.Matches(events); ok {
			c.found = append(c.found, i)
		}
	}
	c.stats.Matches += uint64(len(c.found))
	return c.found
}

func (c *core) snapshot() Stats {
	s := c.stats
	s.Queries = int(c.live.n)
	return s
}
