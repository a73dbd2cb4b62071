package redisbridge

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const readCount = 64 // entries a read asks for

// A streamReader feeds an inbound from its stream. What it reads is always
// after an ID, which is fixed once, at the first connection.
type streamReader struct {
	*inbound
	keys    partitionNames
	isReady func()
	part    string

	begun       bool
	incarnation string
	after       entryID // where the next read begins
	last        uint64  // number of the last entry that passed the gate
	refused     uint64  // entries after it that did not; they may have had numbers or not
	known       bool    // last is known, though it may be 0
	resume      position
	addr        string    // where a MOVED said that the slot is
	checked     time.Time // when the stream was compared last
	connected   bool
}

func newStreamReader(b *inbound) *streamReader {
	return &streamReader{
		inbound: b,
		keys:    namesOfPartition(b.opt.Namespace, b.partition, b.origin),
		isReady: sync.OnceFunc(b.partReady),
		part:    "receive on partition " + strconv.Itoa(b.partition),
	}
}

// run reads until the member ends.
func (r *streamReader) run() {
	r.try(r.part, func(ctx context.Context) (bool, error) {
		client, err := r.awaitLayout(ctx)
		if err != nil {
			return false, err
		}
		err = r.serve(ctx, client)
		r.addr = movedTo(err)
		return false, err
	})
}

// serve is the life of one connection.
func (r *streamReader) serve(ctx context.Context, client rueidis.Client) error {
	conn := r.link.dedicate(client, r.addr)
	defer conn.close()
	defer context.AfterFunc(ctx, conn.close)() // a read that waits does not look at ctx
	if err := r.compare(ctx, conn, true); err != nil {
		return err
	}
	if r.connected {
		r.counts.reconnects.Add(1)
	}
	r.connected = true
	r.notes.works(r.part)
	r.isReady()
	for {
		entries, err := r.read(ctx, conn)
		if err != nil {
			return err
		}
		for i := range entries {
			if err := r.take(ctx, &entries[i]); errors.Is(err, errRewound) {
				break // the next read begins at the first entry
			} else if err != nil {
				return err
			}
		}
		if time.Since(r.checked) >= checkEvery {
			if err := r.compare(ctx, conn, false); err != nil {
				return err
			}
		}
	}
}

// read waits for entries, but not for long: a blocking command has no other
// deadline, and the stream is to be compared every second.
func (r *streamReader) read(ctx context.Context, conn line) ([]rueidis.RedisMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, blockTime+blockTime)
	defer cancel()
	reply := conn.Do(ctx, conn.B().Xread().Count(readCount).Block(blockTime.Milliseconds()).
		Streams().Key(r.keys.stream).Id(r.after.String()).Build())
	if err := reply.Error(); rueidis.IsRedisNil(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return entriesOf(reply)
}

var errReply = errors.New("a reply of an unexpected form")

// entriesOf takes the entries out of a reply of XREAD for one stream: a map in
// RESP3, an array of pairs in RESP2.
func entriesOf(reply rueidis.RedisResult) ([]rueidis.RedisMessage, error) {
	m, err := reply.ToMessage()
	if err != nil {
		return nil, err
	}
	if m.IsMap() {
		streams, err := m.AsMap()
		for _, entries := range streams {
			return entries.ToArray()
		}
		return nil, err
	}
	streams, err := m.ToArray()
	if err != nil || len(streams) != 1 {
		return nil, errors.Join(errReply, err)
	}
	pair, err := streams[0].ToArray()
	if err != nil || len(pair) != 2 {
		return nil, errors.Join(errReply, err)
	}
	return pair[1].ToArray()
}

// errRewound says that the stream does not go on where it was read last.
var errRewound = errors.New("rewound")

// take puts one entry into the inbox. What somebody else wrote is passed over.
func (r *streamReader) take(ctx context.Context, entry *rueidis.RedisMessage) error {
	id, text, ok := frameOf(entry)
	if id.compare(r.after) > 0 {
		r.after = id
	}
	if !ok {
		r.counts.malformed.Add(1)
		r.refused++
		return nil
	}
	a, err := r.admit(text)
	if err != nil { // counted
		r.refused++
		return nil
	}
	if err := r.follow(ctx, id); err != nil {
		return err
	}
	a.id, a.incarnation = id, r.incarnation
	if r.resume.id == id && r.resume.events > 0 {
		a.skip = r.resume.events
	}
	return r.inbox.put(ctx, a)
}

// frameOf takes an entry of a stream apart.
func frameOf(entry *rueidis.RedisMessage) (id entryID, text string, ok bool) {
	pair, err := entry.ToArray()
	if err != nil || len(pair) != 2 {
		return id, "", false
	}
	s, err := pair[0].ToString()
	if err != nil {
		return id, "", false
	}
	if id, ok = parseEntryID(s); !ok {
		return id, "", false
	}
	fields, err := pair[1].ToArray()
	if err != nil || len(fields) != 2 {
		return id, "", false
	}
	text, err = fields[1].ToString()
	return id, text, err == nil
}

// follow holds the number of an entry against the one before.
func (r *streamReader) follow(ctx context.Context, id entryID) error {
	if r.known && id.n <= r.last {
		if err := r.restart(ctx, Gap{Reason: Rewound, Count: Unknown}); err != nil {
			return err
		}
		return errRewound
	}
	var err error
	if next := r.last + 1 + r.refused; r.known && id.n > next {
		err = r.tell(ctx, Gap{Reason: Trimmed, Count: Unknown, Frames: id.n - next})
	}
	r.known, r.last, r.refused = true, id.n, 0
	return err
}

func (r *streamReader) tell(ctx context.Context, g Gap) error {
	return r.inbox.put(ctx, arrival{gap: &g})
}

// restart goes back to the first entry there is. What was handed on before is
// known by the sequences of its origins.
func (r *streamReader) restart(ctx context.Context, g Gap) error {
	r.after, r.known, r.refused, r.resume = entryID{}, false, 0, position{}
	return r.tell(ctx, g)
}

// A streamState is what a partition is compared by.
type streamState struct {
	incarnation string
	end         entryID // the last entry ever written
	holds       bool    // the entry read last is there
	first       entryID // the oldest entry there is; zero if there is none
}

// compare finds out whether the stream is the one that was read so far. After
// FLUSHALL, a failover or a clock that stepped back, XREAD after an ID beyond
// the end would wait for ever, without an error.
func (r *streamReader) compare(ctx context.Context, conn line, fresh bool) error {
	state, err := r.look(ctx, conn, fresh)
	if err != nil {
		return err
	}
	r.checked = time.Now()
	switch {
	case !r.begun:
		return r.begin(ctx, &state)
	case state.incarnation != r.incarnation:
		r.incarnation = state.incarnation
		return r.restart(ctx, Gap{Reason: Reset, Count: Unknown})
	case r.known && state.end.n < r.last:
		return r.restart(ctx, Gap{Reason: Rewound, Count: Unknown})
	case fresh && r.known && r.last > 0 && !state.holds && state.first.n > 0 && state.first.n <= r.last:
		return r.restart(ctx, Gap{Reason: Rewound, Count: Unknown})
	}
	return nil
}

// begin fixes where reading begins.
func (r *streamReader) begin(ctx context.Context, state *streamState) error {
	r.begun, r.incarnation = true, state.incarnation
	start := position{incarnation: state.incarnation, id: state.end, events: allEvents}
	switch {
	case r.opt.From.first:
		start.id = entryID{}
	case r.opt.From.isNow():
		r.after, r.known, r.last = state.end, true, state.end.n
	default:
		r.resume = r.opt.From.cursor.positions[r.partition]
		if r.resume.incarnation != state.incarnation {
			return r.restart(ctx, Gap{Reason: Reset, Count: Unknown})
		}
		start = r.resume
		r.after, r.known, r.last = start.id, true, start.id.n
		if start.events != allEvents {
			r.after = start.id.before()
			r.last--
		}
		if state.end.n < r.last {
			return r.restart(ctx, Gap{Reason: Rewound, Count: Unknown})
		}
	}
	r.inbound.begin(start)
	return nil
}

// look reads the state of the stream. Whoever finds none begins an
// incarnation.
func (r *streamReader) look(ctx context.Context, conn line, fresh bool) (state streamState, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	b := conn.B()
	commands := []rueidis.Completed{
		b.Hsetnx().Key(r.keys.meta).Field("incarnation").Value(newIncarnation()).Build(),
		b.Hmget().Key(r.keys.meta).Field("incarnation", "ms", "n").Build(),
	}
	if fresh {
		last := entryID{r.after.ms, r.last}.String()
		commands = append(commands,
			b.Xrange().Key(r.keys.stream).Start(last).End(last).Count(1).Build(),
			b.Xrange().Key(r.keys.stream).Start("-").End("+").Count(1).Build())
	}
	results := conn.DoMulti(ctx, commands...)
	for _, result := range results {
		if err := result.Error(); err != nil {
			return state, err
		}
	}
	meta, err := results[1].AsStrSlice()
	if err != nil || len(meta) != 3 || !isIncarnation(meta[0]) {
		return state, errors.Join(errReply, err)
	}
	state.incarnation = meta[0]
	if meta[2] != "" {
		state.end, _ = parseEntryID(meta[1] + "-" + meta[2])
	}
	if fresh {
		held, _ := results[2].ToArray()
		state.holds = len(held) > 0
		if first, _ := results[3].ToArray(); len(first) > 0 {
			state.first, _, _ = frameOf(&first[0])
		}
	}
	return state, nil
}
