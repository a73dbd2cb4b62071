// Package workload makes the queries and events on which speed is measured: in
// the benchmarks of match, in those against other software, and in the tests
// that hold the work done against a bound.
//
// An event has 10 keys and 14 values, as a transaction of a blockchain has:
//
//	tm.event          1   Tx
//	tx.height         1   0 … n-1
//	tx.hash           1   unlike all others
//	tx.memo           1   about 60 bytes
//	message.action    1   one of 20
//	message.module    1   one of 8
//	message.sender    1   an address
//	transfer.sender   2   addresses
//	transfer.recipient 3  addresses
//	transfer.amount   2   0uatom … n-1uatom
package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// A Workload is a family of n distinct queries for any n, and of events some
// of which they match.
type Workload struct {
	Name  string
	About string

	// Query returns the text of query i of n.
	Query func(i, n int) string

	// aim changes an event so that it matches what it is to match.
	aim func(event map[string][]string, n int, random *rand.Rand)
}

// Workloads are all there are.
var Workloads = []Workload{
	{
		Name: "equality", About: "two equalities, both rare; 1 match",
		Query: func(i, _ int) string {
			return fmt.Sprintf("transfer.recipient = '%s' AND message.sender = '%s'", address('r', i), address('s', i))
		},
		aim: func(event map[string][]string, n int, random *rand.Rand) {
			i := random.IntN(n)
			event["transfer.recipient"][random.IntN(3)] = address('r', i)
			event["message.sender"][0] = address('s', i)
		},
	},
	{
		Name: "ranges", About: "narrow ranges of one number; 10 matches",
		Query: func(i, _ int) string {
			return fmt.Sprintf("tx.height >= %d AND tx.height < %d", i, i+10)
		},
		aim: func(map[string][]string, int, *rand.Rand) {},
	},
	{
		Name: "mixed", About: "a third each of CONTAINS, equality AND EXISTS, equality OR equality; 3 matches",
		Query: func(i, _ int) string {
			switch i % 3 {
			case 0:
				return fmt.Sprintf("tx.memo CONTAINS '%s'", word(uint64(i)))
			case 1:
				return fmt.Sprintf("message.sender = '%s' AND transfer.amount EXISTS", address('s', i))
			default:
				return fmt.Sprintf("transfer.recipient = '%s' OR transfer.sender = '%s'", address('r', i), address('t', i))
			}
		},
		aim: func(event map[string][]string, n int, random *rand.Rand) {
			i := random.IntN(n) / 3 * 3
			event["tx.memo"][0] = memo(word(uint64(i)), random)
			event["message.sender"][0] = address('s', i+1)
			event["transfer.sender"][1] = address('t', i+2)
		},
	},
	{
		Name: "contains", About: "CONTAINS of 14 bytes in 60; 1 match",
		Query: func(i, _ int) string { return fmt.Sprintf("tx.memo CONTAINS '%s'", word(uint64(i))) },
		aim: func(event map[string][]string, n int, random *rand.Rand) {
			event["tx.memo"][0] = memo(word(uint64(random.IntN(n))), random)
		},
	},
	{
		Name: "hot", About: "all share an equality that always holds; 10 matches",
		Query: func(i, _ int) string {
			return fmt.Sprintf("tm.event = 'Tx' AND transfer.recipient = '%s' AND tx.height >= %d", address('r', i/10), i%10)
		},
		aim: func(event map[string][]string, n int, random *rand.Rand) {
			event["transfer.recipient"][random.IntN(3)] = address('r', random.IntN((n+9)/10))
			event["tx.height"][0] = fmt.Sprint(10 + random.IntN(n))
		},
	},
	{
		Name: "sqrt", About: "pairs of √n × √n equalities, each half hot; 1 match",
		Query: func(i, n int) string {
			side := int(math.Ceil(math.Sqrt(float64(n))))
			return fmt.Sprintf("transfer.recipient = '%s' AND message.sender = '%s'", address('r', i/side), address('s', i%side))
		},
		aim: func(event map[string][]string, n int, random *rand.Rand) {
			i, side := random.IntN(n), int(math.Ceil(math.Sqrt(float64(n))))
			event["transfer.recipient"][random.IntN(3)] = address('r', i/side)
			event["message.sender"][0] = address('s', i%side)
		},
	},
	{
		Name: "corner", About: "two ranges with one end each; 5 matches on average",
		Query: func(i, n int) string {
			random := rand.New(rand.NewPCG(uint64(i), 7))
			return fmt.Sprintf("tx.height > %d AND transfer.amount < %d", random.IntN(n), random.IntN(n))
		},
		aim: func(event map[string][]string, n int, random *rand.Rand) {
			// The share of queries with a lower end below the height, and of
			// those with an upper end above the amount, multiply to 5 of n.
			size := float64(n)
			share := math.Pow(size/5, -random.Float64())
			event["tx.height"][0] = fmt.Sprint(int(share * size))
			amount := fmt.Sprintf("%duatom", int(size-5/share))
			event["transfer.amount"] = []string{amount, amount}
		},
	},
}

// Named returns the workload of that name.
func Named(name string) (Workload, bool) {
	for _, w := range Workloads {
		if w.Name == name {
			return w, true
		}
	}
	return Workload{}, false
}

// Queries returns the texts of all n queries.
func (w Workload) Queries(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = w.Query(i, n)
	}
	return texts
}

// Events returns count events for n queries, the same for the same seed.
func (w Workload) Events(count, n int, seed uint64) []map[string][]string {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	events := make([]map[string][]string, count)
	for i := range events {
		events[i] = event(n, random)
		w.aim(events[i], n, random)
	}
	return events
}

func event(n int, random *rand.Rand) map[string][]string {
	stranger := func() string { return address('x', random.IntN(1<<30)) }
	return map[string][]string{
		"tm.event":           {"Tx"},
		"tx.height":          {fmt.Sprint(random.IntN(n))},
		"tx.hash":            {fmt.Sprintf("%016X%016X", random.Uint64(), random.Uint64())},
		"tx.memo":            {memo("", random)},
		"message.action":     {fmt.Sprintf("/cosmos.bank.v1beta1.Msg%d", random.IntN(20))},
		"message.module":     {fmt.Sprintf("module%d", random.IntN(8))},
		"message.sender":     {stranger()},
		"transfer.sender":    {stranger(), stranger()},
		"transfer.recipient": {stranger(), stranger(), stranger()},
		"transfer.amount":    {fmt.Sprintf("%duatom", random.IntN(n)), fmt.Sprintf("%duatom", random.IntN(n))},
	}
}

const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// spread is a bijection of 64 bits: neighbours have nothing in common.
func spread(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// address returns an address as Cosmos has them, 45 bytes, distinct for each
// role and i.
func address(role byte, i int) string {
	b := make([]byte, 0, 45)
	b = append(b, "cosmos1"...)
	for x := spread(uint64(role)<<40 | uint64(i)); len(b) < 45; x = spread(x + 1) {
		for bits := 0; bits < 60 && len(b) < 45; bits += 5 {
			b = append(b, letters[x>>bits&31])
		}
	}
	return string(b)
}

// word returns 14 bytes, distinct for each i.
func word(i uint64) string {
	b := append(make([]byte, 0, 14), 'w')
	x := spread(i)
	for bits := 0; len(b) < 14; bits += 5 {
		b = append(b, letters[x>>bits&31])
	}
	return string(b)
}

// memo returns about 60 bytes of words, one of which is the given one.
func memo(with string, random *rand.Rand) string {
	text := func() string { return word(1<<32 + random.Uint64N(1<<30)) }
	if with == "" {
		with = text()
	}
	return text() + " " + text() + " " + with + " " + text()
}
