package redisbridge

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

// A chaosPeer is what TestChaos knows of one of its processes, from the lines
// that this has written.
type chaosPeer struct {
	chaosOrder
	program *redistest.Program
	proxies []*redistest.Proxy
	in      *os.File
	read    chan struct{} // closed when all it wrote was read
	began   time.Time
	before  *chaosPeer // of a Reader: whose cursor it began at
	fate    string     // "": it runs; "killed", "left", or "stayed" to the end

	mu        sync.Mutex
	said      map[string]int // "ready", "quiet", "last", "ended": how often
	readyAt   time.Time
	accepted  []int // per partition: 1 to that
	flushed   []int // per partition: Redis has acknowledged 1 to that
	got       []chaosRecord
	last      map[chaosLane]int // received last
	cursor    string
	cursorAt  int // how much of got came before the cursor
	measured  []chaosMeasure
	errors    []string
	forbidden []string // what must not have happened
}

// A chaosLane is what one origin sends on one partition.
type chaosLane struct {
	origin    string
	partition int
}

// A chaosRecord is something received, or a gap.
type chaosRecord struct {
	chaosLane
	n   int
	gap *Gap
}

type chaosMeasure struct {
	goroutines int
	bytes      int
}

// follow reads what the process writes until that ends.
func (p *chaosPeer) follow(out *os.File) {
	defer close(p.read)
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.note(lines.Text())
		p.mu.Unlock()
	}
}

// note takes in one line. The caller holds p.mu.
func (p *chaosPeer) note(line string) {
	word, rest, _ := strings.Cut(line, " ")
	fields := strings.Fields(rest)
	number := func(i int) int {
		if i < len(fields) {
			if n, err := strconv.Atoi(fields[i]); err == nil {
				return n
			}
		}
		p.forbidden = append(p.forbidden, "wrote "+line)
		return 0
	}
	switch word {
	case "A":
		p.accepted[number(0)] = number(1)
	case "F":
		p.flushed[number(0)] = max(p.flushed[number(0)], number(1))
	case "R":
		r := chaosRecord{chaosLane: chaosLane{fields[0], number(1)}, n: number(2)}
		p.got = append(p.got, r)
		p.last[r.chaosLane] = r.n
	case "G":
		var g Gap
		if err := json.Unmarshal([]byte(rest), &g); err != nil {
			p.forbidden = append(p.forbidden, "wrote "+line)
		}
		p.got = append(p.got, chaosRecord{chaosLane: chaosLane{g.Origin.Name, g.Partition}, gap: &g})
	case "C":
		p.cursor, p.cursorAt = rest, len(p.got)
	case "E":
		p.errors = append(p.errors, rest)
	case "M":
		p.measured = append(p.measured, chaosMeasure{number(0), number(1)})
	case "X":
		p.forbidden = append(p.forbidden, rest)
	default:
		p.said[word]++
		if word == "ready" {
			p.readyAt = time.Now()
		}
	}
}

// has tells whether the process has said a word so often.
func (p *chaosPeer) has(word string, times int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said[word] >= times
}

func (p *chaosPeer) lastOf(lane chaosLane) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[lane]
}

func (p *chaosPeer) acceptedOn(partition int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted[partition]
}

// A chaosModel holds what each process has received and was told against what
// the others have accepted.
type chaosModel struct {
	t interface {
		Errorf(format string, args ...any)
	}
	mode     Mode
	lossless bool // Redis has kept all that it acknowledged
	copied   bool // frames were copied, and keys beside the stream evicted
	peers    []*chaosPeer
	story    string // the faults
	received int
	missing  int
}

func (m *chaosModel) failf(format string, args ...any) {
	m.t.Errorf(format+"\nafter %s", append(args, m.story)...)
}

func (m *chaosModel) check() {
	for _, p := range m.peers {
		for _, what := range p.forbidden {
			m.failf("%s: %s", p.Name, what)
		}
		lanes := make(map[chaosLane][]chaosRecord)
		for _, r := range p.got {
			lanes[r.chaosLane] = append(lanes[r.chaosLane], r)
		}
		for lane, records := range lanes {
			if lane.origin == "" {
				m.general(p, records)
			} else {
				m.lane(p, lane, records)
			}
		}
		for _, origin := range m.peers {
			m.complete(p, origin)
		}
		if p.before != nil {
			m.resumed(p)
		}
	}
	if m.mode == Durable && m.lossless && !m.copied {
		m.order()
	}
}

// general checks gaps that have no origin.
func (m *chaosModel) general(p *chaosPeer, records []chaosRecord) {
	for _, r := range records {
		if m.lossless || m.mode == Live {
			m.failf("%s: though Redis has kept everything: %v", p.Name, r.gap)
		}
	}
}

// lane checks that what was received of one origin comes once and in order, and
// that what is missing is exactly what the gaps before it say.
func (m *chaosModel) lane(p *chaosPeer, lane chaosLane, records []chaosRecord) {
	origin := m.peer(lane.origin)
	if origin == nil {
		m.failf("%s: an origin %q that never was", p.Name, lane.origin)
		return
	}
	known := make(map[int]string) // each number: received or lost
	lowest, highest, last := 0, 0, 0
	add := func(n int, what string) {
		if known[n] != "" {
			m.failf("%s: %d of %v is %s, and was %s", p.Name, n, lane, what, known[n])
		}
		known[n] = what
		if lowest == 0 || n < lowest {
			lowest = n
		}
		highest = max(highest, n)
	}
	for _, r := range records {
		switch {
		case r.gap == nil:
			m.received++
			if r.n <= last {
				m.failf("%s: %d after %d of %v", p.Name, r.n, last, lane)
			}
			if r.n > last+1 && last > 0 && known[r.n-1] == "" {
				m.failf("%s: %d after %d of %v, and no gap", p.Name, r.n, last, lane)
			}
			last = r.n
			add(r.n, "received")
		case r.gap.Reason == Silent && m.mode == Live:
		case r.gap.Reason != Lost || m.mode == Durable && m.lossless && !m.copied:
			m.failf("%s: a gap without a reason: %v", p.Name, r.gap)
		default:
			if r.gap.Count != int64(r.gap.To-r.gap.From+1) {
				m.failf("%s: a gap that is not counted: %v", p.Name, r.gap)
			}
			m.missing += int(r.gap.Count)
			for n := r.gap.From; n <= r.gap.To; n++ {
				add(int(n), "lost")
			}
		}
	}
	if len(known) > 0 && highest-lowest+1 != len(known) {
		m.failf("%s: of %v, %d to %d, %d are accounted for", p.Name, lane, lowest, highest, len(known))
	}
	most := origin.accepted[lane.partition]
	if origin.fate == "killed" {
		most++ // it may have died before it could say so
	}
	if highest > most {
		m.failf("%s: %d of %v, which has accepted %d", p.Name, highest, lane, most)
	}
}

func (m *chaosModel) peer(name string) *chaosPeer {
	for _, p := range m.peers {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// complete checks that a process which runs has all of an origin, from the first
// on if it was there before.
func (m *chaosModel) complete(p, origin *chaosPeer) {
	if p == origin || p.fate != "stayed" || origin.Reads {
		return
	}
	wasThere := !p.readyAt.IsZero() && p.readyAt.Before(origin.began) || p.Reads && p.before == nil
	for partition := range origin.accepted {
		lane := chaosLane{origin.Name, partition}
		first, highest, silent, restarted := 0, 0, false, false
		for _, r := range p.got {
			switch {
			case r.gap != nil && r.origin == "" && r.partition == partition:
				restarted = true
			case r.chaosLane != lane:
			case r.gap == nil:
				if first == 0 {
					first = r.n
				}
				highest = r.n
			case r.gap.Reason == Silent:
				silent = true
			case r.gap.Reason == Lost:
				highest = max(highest, int(r.gap.To))
			}
		}
		switch {
		case m.mode == Live:
			if origin.fate == "killed" && first > 0 && !silent {
				m.failf("%s: nobody said that %v is gone", p.Name, lane)
			}
		case wasThere && first > 1 && !restarted:
			m.failf("%s: %v begins with %d", p.Name, lane, first)
		case m.lossless && !m.copied && highest < origin.flushed[partition] && (wasThere || first > 0):
			m.failf("%s: %v ends with %d, Redis has acknowledged %d", p.Name, lane, highest, origin.flushed[partition])
		}
		if origin.fate == "stayed" && highest != origin.accepted[partition] {
			m.failf("%s: %v ends with %d, %d were accepted", p.Name, lane, highest, origin.accepted[partition])
		}
	}
}

// resumed checks that a Reader goes on exactly where its cursor was, unless the
// stream is not the one it was.
func (m *chaosModel) resumed(p *chaosPeer) {
	if m.copied {
		return
	}
	had := make(map[chaosLane]int)
	restarted := make(map[int]bool) // by partition
	for before := p.before; before != nil; before = before.before {
		for _, r := range before.got {
			if r.gap == nil {
				had[r.chaosLane] = max(had[r.chaosLane], r.n)
			} else {
				had[r.chaosLane] = max(had[r.chaosLane], int(r.gap.To))
				restarted[r.partition] = restarted[r.partition] || r.origin == ""
			}
		}
	}
	for _, r := range p.got {
		restarted[r.partition] = restarted[r.partition] || r.gap != nil && r.origin == ""
	}
	for _, r := range p.got {
		if had, known := had[r.chaosLane]; r.gap == nil && known && r.n != had+1 && !restarted[r.partition] {
			m.failf("%s: resumed %v with %d after %d", p.Name, r.chaosLane, r.n, had)
		}
		delete(had, r.chaosLane)
	}
}

// order checks that of any two processes those publications that both received
// came to both in one order.
func (m *chaosModel) order() {
	type one struct {
		chaosLane
		n int
	}
	sequence := func(p *chaosPeer, partition int) (all []one) {
		for _, r := range p.got {
			if r.gap == nil && r.partition == partition {
				all = append(all, one{r.chaosLane, r.n})
			}
		}
		return all
	}
	for i, p := range m.peers {
		for partition := range p.Partitions {
			ours := sequence(p, partition)
			at := make(map[one]int)
			for place, r := range ours {
				at[r] = place
			}
			for _, q := range m.peers[:i] {
				last := -1
				for _, r := range sequence(q, partition) {
					place, both := at[r]
					if both && place < last {
						m.failf("%s has %v before %v, %s after it", q.Name, ours[last], r, p.Name)
						break
					}
					if both {
						last = place
					}
				}
			}
		}
	}
}

// The model notices what it is there for.
func TestChaosModelNotices(t *testing.T) {
	for what, spoil := range map[string]func(m *chaosModel, p *chaosPeer){
		"nothing":    nil,
		"a loss":     func(_ *chaosModel, p *chaosPeer) { p.got = slices.Delete(p.got, 3, 4) },
		"the end":    func(_ *chaosModel, p *chaosPeer) { p.got = p.got[:9] },
		"the first":  func(_ *chaosModel, p *chaosPeer) { p.got = p.got[1:] },
		"repetition": func(_ *chaosModel, p *chaosPeer) { p.got = append(p.got, p.got[9]) },
		"order":      func(_ *chaosModel, p *chaosPeer) { p.got[3], p.got[4] = p.got[4], p.got[3] },
		"invention": func(_ *chaosModel, p *chaosPeer) {
			p.got = append(p.got, chaosRecord{chaosLane: p.got[0].chaosLane, n: 11})
		},
		"a false gap": func(_ *chaosModel, p *chaosPeer) {
			p.got = append(p.got, chaosRecord{gap: &Gap{Reason: Reset, Count: Unknown}})
		},
		"a gap too large": func(m *chaosModel, p *chaosPeer) {
			m.lossless = false
			p.got[3].n, p.got[3].gap = 0, &Gap{Reason: Lost, From: 4, To: 5, Count: 2}
		},
		"order between two": func(m *chaosModel, p *chaosPeer) {
			other := p.alike("c")
			more := func(p *chaosPeer, at int) {
				p.got = slices.Insert(slices.Clone(p.got), at, chaosRecord{chaosLane: chaosLane{"d", 0}, n: 1})
			}
			more(p, 3)
			more(other, 4)
			m.peers = append(m.peers, other, &chaosPeer{chaosOrder: chaosOrder{Name: "d"}, fate: "killed", accepted: []int{1}, flushed: []int{1}})
		},
		"a resumed Reader": func(m *chaosModel, p *chaosPeer) {
			next := p.alike("c")
			next.before, next.got = p, p.got[9:]
			p.fate = "killed"
			m.peers = append(m.peers, next)
		},
	} {
		t.Run(what, func(t *testing.T) {
			a := &chaosPeer{chaosOrder: chaosOrder{Name: "a"}, fate: "stayed", began: time.Now(), accepted: []int{10}, flushed: []int{10}}
			b := &chaosPeer{chaosOrder: chaosOrder{Name: "b", Partitions: 1, Reads: true}, fate: "stayed", accepted: []int{0}}
			for n := range 10 {
				b.got = append(b.got, chaosRecord{chaosLane: chaosLane{"a", 0}, n: n + 1})
			}
			noticed := new(counted)
			m := &chaosModel{t: noticed, mode: Durable, lossless: true, peers: []*chaosPeer{a, b}}
			if spoil != nil {
				spoil(m, b)
			}
			m.check()
			require.Equal(t, spoil != nil, *noticed > 0)
		})
	}
}

func (p *chaosPeer) alike(name string) *chaosPeer {
	other := &chaosPeer{chaosOrder: p.chaosOrder, fate: p.fate, accepted: p.accepted, got: p.got}
	other.Name = name
	return other
}

// counted is a test that counts its failures.
type counted int

func (c *counted) Errorf(string, ...any) { *c++ }

// String names a process in a story.
func (p *chaosPeer) String() string { return fmt.Sprintf("%s (%s)", p.Name, p.fate) }
