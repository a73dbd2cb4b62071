package match

import "math"

// A tally estimates how many queries ask for a condition, before any of them is
// found by it and whatever the order in which they came. That is what makes one
// condition rare and another one hot: see cover.go.
//
// It is a count-min sketch: a condition adds one to two of the cells, and the
// lesser of its cells, without what others are likely to have put there, is the
// estimate. It takes no room that grows, and Remove is exact.
//
//	a = 'x'  ──┬───────────────┐
//	cells  │ 7 │ 2 │ 40 │ 3 │ 9 │ …        at most 7
//	b = 5    ──────┴────────┘              at most 2
type tally struct {
	cells [tallyCells]uint32
	total uint64 // of all cells
}

const tallyCells = 4096

// cellsOf returns the two cells of a condition.
func (y *tally) cellsOf(hash uint64) (a, b *uint32) {
	return &y.cells[hash>>52], &y.cells[hash>>40%tallyCells]
}

func (y *tally) add(hash uint64) {
	a, b := y.cellsOf(hash)
	*a++
	*b++
	y.total += 2
}

func (y *tally) remove(hash uint64) {
	a, b := y.cellsOf(hash)
	*a--
	*b--
	y.total -= 2
}

// of returns about how many there are of a condition that was added. What comes
// of others is taken off generously, since a rare condition that is taken for a
// hot one costs every event a look-up more.
func (y *tally) of(hash uint64) int {
	a, b := y.cellsOf(hash)
	others := float64(y.total) / tallyCells
	return max(1, int(min(*a, *b))-int(others+3*math.Sqrt(others)))
}

// bitsOf returns how much an event that satisfies a condition tells: 0 if all
// queries ask for it, 1 if half of them do, and at most mostBits.
func bitsOf(asked, queries int) float64 {
	return max(0, min(mostBits, math.Log2(float64(queries)/float64(asked))))
}

const mostBits = 10
