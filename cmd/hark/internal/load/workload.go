package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/harkbus/pubsub/sim"
)

// A Workload says what is subscribed to and what is published.
type Workload struct {
	Name  string
	About string

	// NeverMind is set if how many subscriptions match follows from the
	// chain, and cannot be asked for.
	NeverMind bool

	// query returns the query of subscription i; no two are equal.
	query func(i int, o *Options, chain *sim.Chain) string

	// aim adds to the events of one publication what makes them match.
	aim func(events map[string][]string, o *Options, random *rand.Rand)
}

// Workloads are all there are. All publish what the simulated chain tells; the
// first three add keys of their own, which their queries are about.
var Workloads = []Workload{
	{
		Name: "equality", About: "what happens in a group, except what one did oneself",
		query: func(i int, o *Options, _ *sim.Chain) string {
			return fmt.Sprintf("load.group = 'group-%d' AND load.author != 'member-%d'", i/o.Matching, i%o.Matching)
		},
		aim: func(events map[string][]string, o *Options, random *rand.Rand) {
			events["load.group"] = []string{fmt.Sprintf("group-%d", random.IntN(o.groups()))}
			events["load.author"] = []string{"somebody"}
		},
	},
	{
		Name: "ranges", About: "a narrow range of a number",
		query: func(i int, o *Options, _ *sim.Chain) string {
			return fmt.Sprintf("load.number > %d AND load.number <= %d", i-o.Matching, i)
		},
		aim: func(events map[string][]string, o *Options, random *rand.Rand) {
			events["load.number"] = []string{strconv.Itoa(random.IntN(o.Subs - o.Matching + 1))}
		},
	},
	{
		Name: "mixed", About: "equality, range, CONTAINS and OR, a quarter each",
		query: func(i int, o *Options, _ *sim.Chain) string {
			group, member := i/o.Matching, i%o.Matching
			switch member % 4 {
			case 0:
				return fmt.Sprintf("load.group = 'group-%d' AND NOT load.author = 'member-%d'", group, member)
			case 1:
				return fmt.Sprintf("load.number >= %d AND load.number < %d AND load.weight > %d", group, group+1, member)
			case 2:
				return fmt.Sprintf("load.text CONTAINS ' group-%d ' AND load.weight > %d", group, member)
			default:
				return fmt.Sprintf("load.group = 'group-%d' OR load.author = 'member-%d of %d'", group, member, group)
			}
		},
		aim: func(events map[string][]string, o *Options, random *rand.Rand) {
			group := random.IntN(o.groups())
			events["load.group"] = []string{fmt.Sprintf("group-%d", group)}
			events["load.number"] = []string{strconv.Itoa(group)}
			events["load.text"] = []string{fmt.Sprintf("somewhere in this text is group-%d and more", group)}
			events["load.weight"] = []string{strconv.Itoa(o.Matching)}
		},
	},
	{
		Name: "chain", About: "what wallets, explorers and bridges ask a chain for", NeverMind: true,
		query: func(i int, _ *Options, chain *sim.Chain) string {
			account := chain.Account(i)
			switch i % 4 {
			case 0:
				return fmt.Sprintf("transfer.recipient = '%s' AND tx.height > %d", account, -i)
			case 1:
				return fmt.Sprintf("tm.event = 'Tx' AND transfer.sender = '%s' AND transfer.amount > %d", account, i)
			case 2:
				return fmt.Sprintf("message.action CONTAINS 'Delegate' AND message.sender = '%s' AND tx.height > %d", account, -i)
			default:
				return fmt.Sprintf("transfer.amount > %d AND transfer.amount < %d AND tm.event = 'Tx'", 1000*i, 1000*i+500)
			}
		},
		aim: func(map[string][]string, *Options, *rand.Rand) {},
	},
}

// Named returns the workload of that name.
func Named(name string) (Workload, bool) {
	i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		return Workload{}, false
	}
	return Workloads[i], true
}

// groups is how many times Matching subscriptions there are.
func (o *Options) groups() int { return max(1, o.Subs/o.Matching) }

// prebuilt is how many publications are made beforehand, so that making them
// does not count. They are published one after the other, again and again.
const prebuilt = 8192

func (o *Options) publications(chain *sim.Chain) []sim.Publication {
	random := rand.New(rand.NewPCG(o.Seed, 1))
	all := make([]sim.Publication, prebuilt)
	for i := range all {
		all[i] = chain.Next()
		o.Workload.aim(all[i].Events, o, random)
	}
	return all
}
