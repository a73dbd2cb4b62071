package match

import "strings"

// keys numbers the keys that queries ask for, so that records are small and
// attributes of an event are found by index.
type keys struct {
	numbers map[string]uint32
	names   []string
	uses    []uint32 // terms with the key
	free    []uint32 // numbers to use again
}

// of returns the number of a key. Its uses are counted by the caller.
func (k *keys) of(name string) uint32 {
	n, ok := k.numbers[name]
	if !ok {
		n = k.number(strings.Clone(name)) // the query's text can go
	}
	return n
}

func (k *keys) number(name string) (n uint32) {
	if last := len(k.free) - 1; last >= 0 {
		n = k.free[last]
		k.free = k.free[:last]
		k.names[n] = name
	} else {
		n = uint32(len(k.names))
		k.names = append(k.names, name)
		k.uses = append(k.uses, 0)
	}
	k.numbers[name] = n
	return n
}

// drop takes one use back.
func (k *keys) drop(n uint32) {
	if k.uses[n]--; k.uses[n] > 0 {
		return
	}
	delete(k.numbers, k.names[n])
	k.names[n] = ""
	k.free = append(k.free, n)
}
