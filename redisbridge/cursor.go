package redisbridge

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// A Cursor is a place in the streams of a namespace, one position for each
// partition. It is what was read, and where to resume. As text it looks like
//
//	9f86d081884c7d65@1767323045000-42.3,c2e1…@1767323044170-7.0
//
// with, for each partition, the incarnation of its stream, the ID of an entry,
// and how many of the events of that entry were read; without the last part,
// all. It holds one incarnation for each partition because one node of a
// cluster may lose its data and the others not.
type Cursor struct{ positions []position }

// A position is a place in one stream.
type position struct {
	incarnation string
	id          entryID
	events      int // of the entry that were read; -1: all
}

const allEvents = -1

// An entryID is the ID of a stream entry: milliseconds and the number of the
// entry in its incarnation, from 1 on without a hole.
type entryID struct{ ms, n uint64 }

func (id entryID) compare(other entryID) int {
	return cmp.Or(cmp.Compare(id.ms, other.ms), cmp.Compare(id.n, other.n))
}

// String returns the ID as Redis has it.
func (id entryID) String() string {
	b := strconv.AppendUint(make([]byte, 0, 24), id.ms, 10)
	return string(strconv.AppendUint(append(b, '-'), id.n, 10))
}

func parseEntryID(s string) (id entryID, ok bool) {
	ms, n, found := strings.Cut(s, "-")
	var errMS, errN error
	id.ms, errMS = strconv.ParseUint(ms, 10, 64)
	id.n, errN = strconv.ParseUint(n, 10, 64)
	return id, found && errMS == nil && errN == nil
}

// before returns the ID after which XREAD begins with the entry of id: its
// number alone is one less, for no entry between has one.
func (id entryID) before() entryID { return entryID{id.ms, id.n - 1} }

// IsZero tells whether c is no place at all, as before anything is known.
func (c Cursor) IsZero() bool { return len(c.positions) == 0 }

// String returns the text that ParseCursor reads.
func (c Cursor) String() string {
	parts := make([]string, len(c.positions))
	for i, p := range c.positions {
		parts[i] = p.incarnation + "@" + p.id.String()
		if p.events != allEvents {
			parts[i] += "." + strconv.Itoa(p.events)
		}
	}
	return strings.Join(parts, ",")
}

// MarshalText returns String.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is ParseCursor.
func (c *Cursor) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCursor(string(text))
	return err
}

// ParseCursor reads the text of a cursor.
func ParseCursor(text string) (Cursor, error) {
	var c Cursor
	if text == "" {
		return c, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		p, ok := parsePosition(part)
		if !ok || len(c.positions) == maxPartitions {
			return Cursor{}, fmt.Errorf("redisbridge: cursor %.80q: position %d is not like 9f86d081884c7d65@1767323045000-42.3", text, len(c.positions)+1)
		}
		c.positions = append(c.positions, p)
	}
	return c, nil
}

func parsePosition(text string) (p position, ok bool) {
	incarnation, rest, found := strings.Cut(text, "@")
	if !found || !isIncarnation(incarnation) {
		return p, false
	}
	p = position{incarnation: incarnation, events: allEvents}
	id, events, partial := strings.Cut(rest, ".")
	if partial {
		n, err := strconv.ParseUint(events, 10, 16)
		if err != nil {
			return p, false
		}
		p.events = int(n)
	}
	p.id, ok = parseEntryID(id)
	return p, ok && (!partial || p.id.n > 0)
}

const incarnationDigits = 16

func isIncarnation(s string) bool {
	if len(s) != incarnationDigits {
		return false
	}
	_, err := strconv.ParseUint(s, 16, 64)
	return err == nil
}

// newIncarnation draws what tells a stream from the one that had its name
// before everything was deleted.
func newIncarnation() string { return fmt.Sprintf("%016x", newEpoch()) }

// A Start says where to begin to read. The zero Start is Now.
type Start struct {
	first  bool
	cursor Cursor
}

// FromNow begins with what is written after the first connection.
func FromNow() Start { return Start{} }

// FromFirst begins with the oldest that the streams have.
func FromFirst() Start { return Start{first: true} }

// FromCursor begins after a cursor. What was trimmed since is a Gap.
func FromCursor(c Cursor) Start { return Start{cursor: c} }

func (s Start) isNow() bool { return !s.first && s.cursor.IsZero() }
