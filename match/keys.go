package match

import "strings"

// keys numbers the keys that queries ask for, so that records are small, and
// holds what is found out about each while an event is matched.
//
//	name ─▶ hash ─▶ table ─▶ number ─▶ key ─▶ next key of the same tag …
type keys struct {
	table table // see chain
	all   roster[key]
}

type key struct {
	name string
	uses uint32 // terms with the key
	next uint32 // 1 + the next key whose name has the same tag
	attribute
}

// find returns the number of a key.
func (c *core) find(name string) (number uint32, ok bool) {
	for at := c.keys.table.find(c.hashText(name)); at != 0; {
		k := c.keys.all.at(uint32(at - 1))
		if k.name == name {
			return uint32(at - 1), true
		}
		at = posting(k.next)
	}
	return 0, false
}

// keyOf returns the number of a key, a new one if it has none. Its uses are
// counted by the caller.
func (c *core) keyOf(name string) uint32 {
	if number, ok := c.find(name); ok {
		return number
	}
	number := c.keys.all.add(key{name: strings.Clone(name)}) // the query's text can go
	c.key(number).next = c.keys.table.chain(c.hashText(name), number)
	return number
}

// key returns the key of a number.
func (c *core) key(number uint32) *key { return c.keys.all.at(number) }

// dropKey takes one use back.
func (c *core) dropKey(number uint32) {
	k := c.key(number)
	if k.uses--; k.uses > 0 {
		return
	}
	c.keys.table.unchain(c.hashText(k.name), number, func(number uint32) *uint32 { return &c.key(number).next })
	c.keys.all.drop(number)
}
