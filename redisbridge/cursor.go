package redisbridge

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Cursor is a place in the streams of a namespace, one position for each
// partition. It is what was read, and where to resume. As text it looks like
//
//	1767323045000123@1767323045000-42.3,1767323044170001@1767323044170-0
//
// with, for each partition, the epoch of its stream, the ID of an entry, and
// how many of the events of that entry were read; without the last part, all.
// The epoch is when the stream was made, in µs since 1970, so that cursors of
// one partition sort like its publications. Each partition has its own because
// one node of a cluster may lose its data and the others not.
//
// The zero Cursor is before everything.
type Cursor struct{ positions []position }

// A position is a place in one stream. The zero position is before everything.
type position struct {
	epoch  uint64 // 0: not known yet; then id is zero
	id     entryID
	events int // of the entry that were read; allEvents: all
}

const allEvents = -1

// An entryID is the ID of a stream entry, as Redis gives them out: it grows.
type entryID struct{ ms, seq uint64 }

func (id entryID) compare(other entryID) int {
	return cmp.Or(cmp.Compare(id.ms, other.ms), cmp.Compare(id.seq, other.seq))
}

func (id entryID) isAfter(other entryID) bool { return id.compare(other) > 0 }

// String returns the ID as Redis has it.
func (id entryID) String() string {
	b := strconv.AppendUint(make([]byte, 0, 24), id.ms, 10)
	return string(strconv.AppendUint(append(b, '-'), id.seq, 10))
}

func parseEntryID(s string) (id entryID, ok bool) {
	ms, seq, found := strings.Cut(s, "-")
	var errMS, errSeq error
	id.ms, errMS = strconv.ParseUint(ms, 10, 64)
	id.seq, errSeq = strconv.ParseUint(seq, 10, 64)
	return id, found && errMS == nil && errSeq == nil
}

// mayBeAnEntry tells entries from places between them: see before and look.lua.
func (id entryID) mayBeAnEntry() bool { return id != entryID{} && id.seq != math.MaxUint64 }

// millis returns its time, at most a year that no clock shows.
func (id entryID) millis() int64 { return int64(min(id.ms, 1<<53)) }

// before returns the greatest ID that is less, so that reading after it begins
// with the entry of id.
func (id entryID) before() entryID {
	switch {
	case id.seq > 0:
		return entryID{id.ms, id.seq - 1}
	case id.ms > 0:
		return entryID{id.ms - 1, math.MaxUint64}
	}
	return id
}

// IsZero tells whether c is before everything, as when nothing is known yet.
func (c Cursor) IsZero() bool {
	for _, p := range c.positions {
		if p.epoch != 0 {
			return false
		}
	}
	return true
}

// String returns the text that ParseCursor reads: "" for a zero Cursor.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	parts := make([]string, len(c.positions))
	for i, p := range c.positions {
		parts[i] = epochText(p.epoch) + "@" + p.id.String()
		if p.events != allEvents && p.epoch != 0 {
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

// ParseCursor reads the text of a cursor; "" is the zero Cursor.
func ParseCursor(text string) (Cursor, error) {
	var c Cursor
	if text == "" {
		return c, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		p, ok := parsePosition(part)
		if !ok || len(c.positions) == maxPartitions {
			return Cursor{}, fmt.Errorf("redisbridge: cursor %.80q: position %d is not like 1767323045000123@1767323045000-42.3", text, len(c.positions)+1)
		}
		c.positions = append(c.positions, p)
	}
	if c.IsZero() {
		return Cursor{}, nil
	}
	return c, nil
}

func parsePosition(text string) (p position, ok bool) {
	epoch, rest, _ := strings.Cut(text, "@")
	if p.epoch, ok = parseEpoch(epoch); !ok {
		return p, false
	}
	p.events = allEvents
	id, events, partial := strings.Cut(rest, ".")
	if partial {
		n, err := strconv.ParseUint(events, 10, 16)
		if err != nil {
			return p, false
		}
		p.events = int(n)
	}
	p.id, ok = parseEntryID(id)
	if p.epoch == 0 {
		return position{}, ok && p.id == entryID{} && !partial
	}
	return p, ok
}

const epochDigits = 16

func epochText(epoch uint64) string { return fmt.Sprintf("%0*d", epochDigits, epoch) }

// parseEpoch reads the epoch of a stream, which Redis keeps with it.
func parseEpoch(s string) (uint64, bool) {
	if len(s) != epochDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// A Start says where to begin to read. The zero Start is Now.
type Start struct {
	kind   startKind
	cursor Cursor
	time   time.Time
}

type startKind uint8

const (
	startNow startKind = iota
	startFirst
	startCursor
	startTime
)

// FromNow begins with what is written after the first connection.
func FromNow() Start { return Start{} }

// FromFirst begins with the oldest that the streams have when they are read. What
// was trimmed before that is no Gap.
func FromFirst() Start { return Start{kind: startFirst} }

// FromCursor begins after a cursor. What was trimmed since is a Gap. The zero
// Cursor, as of a bridge that was not ready yet, begins with the oldest, too, and
// if anything was trimmed before that, it is a Gap: it may have come since.
func FromCursor(c Cursor) Start { return Start{kind: startCursor, cursor: c} }

// FromTime begins with what Redis has received since t, by its own clock.
func FromTime(t time.Time) Start { return Start{kind: startTime, time: t} }

// position returns where to begin on a partition, and whether that is known
// before the stream is.
func (s *Start) position(partition int) (p position, known bool) {
	switch s.kind {
	case startNow, startFirst:
		return p, false
	case startTime:
		ms := uint64(max(s.time.UnixMilli(), 0))
		return position{id: entryID{ms, 0}.before(), events: allEvents}, true
	}
	if partition < len(s.cursor.positions) {
		return s.cursor.positions[partition], true
	}
	return p, true
}
