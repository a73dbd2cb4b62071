package match

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A hardship makes queries of one kind more than of others, so that some
// histories have thousands of it.
type hardship struct {
	random *rand.Rand
	kind   int
}

func newHardship(random *rand.Rand) *hardship {
	return &hardship{random: random, kind: random.IntN(hardKinds)}
}

const hardKinds = 8

var (
	fewValues = []string{"left", "right", "left right"}
	fewWays   = []string{"=", "=", "CONTAINS", "STARTSWITH", "ENDSWITH", "!="}
	orders    = []string{"<", "<=", ">", ">="}
)

// terms joins so many conditions, each on another of the keys k0, k1 ….
func (h *hardship) terms(count, of int, with string, condition func(key int) string) string {
	terms := make([]string, count)
	for i, key := range h.random.Perm(of)[:count] {
		terms[i] = condition(key)
	}
	return strings.Join(terms, with)
}

func (h *hardship) fewValued(key int) string {
	return fmt.Sprintf("k%d %s '%s'", key, pick(h.random.IntN, fewWays...), pick(h.random.IntN, fewValues[:2]...))
}

func (h *hardship) ranged(key int) string {
	return fmt.Sprintf("k%d %s %d", key, pick(h.random.IntN, orders...), h.random.IntN(12))
}

func (h *hardship) query() string {
	kind := h.kind
	if h.random.IntN(4) == 0 {
		kind = h.random.IntN(hardKinds)
	}
	n := h.random.IntN(400)
	switch kind {
	case 0: // many conditions with few values
		return h.terms(2+h.random.IntN(9), 12, " AND ", h.fewValued)
	case 1: // a common range beside a key of its own
		return fmt.Sprintf("k0 > 2 AND own%d %s", n, pick(h.random.IntN, "> 5", "= 6", "EXISTS", "CONTAINS '6'", "!= 3", "<= 8"))
	case 2: // pairs of keys
		return fmt.Sprintf("own%d > 5 AND own%d %s %d", n, h.random.IntN(400), pick(h.random.IntN, orders...), h.random.IntN(12))
	case 3: // many sets of few keys
		return h.terms(1+h.random.IntN(10), 12, " AND ", h.ranged)
	case 4: // more hot alternatives than one Add moves entries for
		return h.terms(12, 12, " OR ", h.fewValued) + pick(h.random.IntN, "", fmt.Sprintf(" OR own%d = 6", n))
	case 5: // presence
		return h.terms(1+h.random.IntN(4), 12, " AND ", func(key int) string { return fmt.Sprintf("k%d EXISTS", key) }) +
			pick(h.random.IntN, "", fmt.Sprintf(" AND own%d EXISTS", n), " AND NOT k3 = 'left'")
	case 6: // values that differ in one place
		return h.framed()
	default: // alternatives beside the rest
		return fmt.Sprintf("(%s) AND (%s) AND %s", h.terms(3, 12, " OR ", h.fewValued), h.terms(2, 12, " OR ", h.ranged),
			pick(h.random.IntN, h.fewValued(5), fmt.Sprintf("own%d IN (1, 2, 'x', 6)", n)))
	}
}

var (
	frames = []string{"", "-", strings.Repeat("-", 20), strings.Repeat("ab", 15) + "c", strings.Repeat("x", 33), strings.Repeat("-", 70), strings.Repeat("yz", 40)}
	zeros  = []string{"", "0", "000", strings.Repeat("0", 17), strings.Repeat("1", 30)}
)

// frame puts a number of few between equal bytes.
func (h *hardship) frame() string {
	return pick(h.random.IntN, frames...) + fmt.Sprint(h.random.IntN(300)) + pick(h.random.IntN, frames...)
}

// long is a number of many digits, of which many are equal and few differ.
func (h *hardship) long() string {
	n := pick(h.random.IntN, "", "-") + "1" + pick(h.random.IntN, zeros...) + fmt.Sprint(h.random.IntN(100))
	return n + pick(h.random.IntN, "", ".", ".5") + pick(h.random.IntN, zeros...)
}

// longOperand is long as the grammar has it: no point at the end.
func (h *hardship) longOperand() string { return strings.TrimSuffix(h.long(), ".") }

func (h *hardship) moment() string {
	return fmt.Sprintf("2013-05-03T14:45:00.%s%dZ", pick(h.random.IntN, "", "000", "000000", "00000000"), h.random.IntN(10))
}

func (h *hardship) framed() string {
	key := fmt.Sprint("f", h.random.IntN(2))
	condition := ""
	switch h.random.IntN(6) {
	case 0:
		condition = fmt.Sprintf("%s = %s", key, h.longOperand())
	case 1:
		condition = fmt.Sprintf("%s IN (%s, '%s', %s)", key, h.longOperand(), h.frame(), h.longOperand())
	case 2:
		condition = fmt.Sprintf("%s %s %s", key, pick(h.random.IntN, orders...), h.longOperand())
	case 3:
		condition = fmt.Sprintf("%s %s TIME %s", key, pick(h.random.IntN, "=", "<", ">="), h.moment())
	default:
		condition = fmt.Sprintf("%s %s '%s'", key, pick(h.random.IntN, "=", "CONTAINS", "CONTAINS", "STARTSWITH", "ENDSWITH", "MATCHES"), h.frame())
	}
	if h.random.IntN(3) == 0 {
		condition += " AND " + h.fewValued(h.random.IntN(12))
	}
	if h.random.IntN(6) == 0 {
		condition += " OR " + h.framed()
	}
	return condition
}

func (h *hardship) framedValue() string {
	switch h.random.IntN(4) {
	case 0:
		return h.long() + pick(h.random.IntN, "", "stake")
	case 1:
		return h.moment()
	default:
		return pick(h.random.IntN, "", "-", "x") + h.frame() + pick(h.random.IntN, "", "-", "z")
	}
}

func (h *hardship) events() map[string][]string {
	events := make(map[string][]string)
	for key := range 12 {
		if h.random.IntN(6) == 0 {
			continue
		}
		name := fmt.Sprint("k", key)
		for range 1 + h.random.IntN(6)/5 {
			events[name] = append(events[name], pick(h.random.IntN, fewValues[0], fewValues[1], fewValues[2], fmt.Sprint(h.random.IntN(12))))
		}
	}
	for range h.random.IntN(4) {
		name := fmt.Sprint("f", h.random.IntN(2))
		events[name] = append(events[name], h.framedValue())
	}
	for range h.random.IntN(40) {
		events[fmt.Sprint("own", h.random.IntN(400))] = []string{pick(h.random.IntN, "6", "x", fmt.Sprint(h.random.IntN(12)))}
	}
	return events
}
