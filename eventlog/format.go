package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/store"
)

// A log is these pairs of an engine. Numbers in keys have 8 bytes, big-endian, so
// that they sort; those in values are uvarints. Every value begins with the
// CRC-32C of its key and of what follows, 4 bytes.
//
//	"v"            version
//	"s"            oldest, swept, reserved, flags, last     what is known of the whole
//	"e" + epoch    base, previous, flags                    one for each opening that was appended to
//	"r" + offset   kind, before, ordinal, bytes, clock,     one publication, or a run that was dropped
//	               what of the kind
//
// The kinds are
//
//	1  publication   origin (length, name, epoch), then the event by codec.Binary
//	2  dropped       how many, up to and including this offset
//	3  lost          nothing: it could not be encoded
const formatVersion = 1

const (
	kindPublication = 1
	kindDropped     = 2
	kindLost        = 3
)

var (
	versionKey = []byte("v")
	stateKey   = []byte("s")
)

func epochKey(number uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'e'}, number) }

const recordKeyLength = 9

func recordKey(offset uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'r'}, offset) }

var (
	epochsEnd  = []byte{'e' + 1}
	recordsEnd = []byte{'r' + 1}
)

func numberOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errChecksum = errors.New("the checksum is wrong")

// seal writes the checksum into the first 4 bytes of a value.
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[4:])
	binary.BigEndian.PutUint32(value, sum)
	return value
}

// unseal returns what follows the checksum.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < 4 || crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[4:]) != binary.BigEndian.Uint32(value) {
		return nil, errChecksum
	}
	return value[4:], nil
}

// encodeNumbers returns a value that is numbers alone.
func encodeNumbers(key []byte, numbers ...uint64) []byte {
	value := make([]byte, 4, 4+len(numbers)*binary.MaxVarintLen64)
	for _, n := range numbers {
		value = binary.AppendUvarint(value, n)
	}
	return seal(key, value)
}

func decodeNumbers(key, value []byte, into ...*uint64) error {
	rest, err := unseal(key, value)
	if err != nil {
		return fmt.Errorf("eventlog: %q is damaged: %w", key, err)
	}
	_, err = cutNumbers(rest, into...)
	return err
}

var errShort = errors.New("eventlog: a value ends too early")

func cutNumbers(src []byte, into ...*uint64) (rest []byte, err error) {
	for _, n := range into {
		v, size := binary.Uvarint(src)
		if size <= 0 {
			return nil, errShort
		}
		*n, src = v, src[size:]
	}
	return src, nil
}

// A state is what is known of the whole log.
type state struct {
	oldest   uint64 // up to here everything is gone
	swept    uint64 // up to here it has been deleted, too
	reserved uint64 // offsets from here on were never given away, unless they have records
	open     uint64
	last     uint64 // with closed: the last offset of all
}

// What state.open may be.
const (
	closed     = iota // since the last append
	open              // nothing was seen before it was on disk
	openBehind        // publications may have been seen that were not on disk
)

func (s *state) put(b *store.Batch) {
	b.Put(stateKey, encodeNumbers(stateKey, s.oldest, s.swept, s.reserved, s.open, s.last))
}

func (s *state) decode(value []byte) error {
	return decodeNumbers(stateKey, value, &s.oldest, &s.swept, &s.reserved, &s.open, &s.last)
}

// An epoch is the time from one opening that was appended to until the next.
type epoch struct {
	number   uint64
	base     uint64 // its first offset
	previous uint64 // the last record of the epoch before
	lossy    uint64 // 1: what came after that may have been lost
}

func (e *epoch) put(b *store.Batch) {
	key := epochKey(e.number)
	b.Put(key, encodeNumbers(key, e.base, e.previous, e.lossy))
}

func decodeEpoch(pair store.Pair) (e epoch, err error) {
	if len(pair.Key) != 9 {
		return e, fmt.Errorf("eventlog: %q is no epoch", pair.Key)
	}
	e.number = numberOf(pair.Key)
	return e, decodeNumbers(pair.Key, pair.Value, &e.base, &e.previous, &e.lossy)
}

// A record is one publication, or a run of dropped ones.
type record struct {
	offset  uint64
	kind    byte
	before  uint64 // offsets directly before it that were left out
	ordinal uint64 // of all records that there ever were
	bytes   uint64 // of all records up to and including this one
	clock   uint64 // the latest time of a publication so far, nanoseconds since 1970
	body    []byte
}

// recordOverhead is about what a record takes besides its body.
const recordOverhead = 40

// put adds the record to a batch, and counts its bytes.
func (r *record) put(b *store.Batch) {
	key := recordKey(r.offset)
	value := make([]byte, 4, recordOverhead+len(r.body))
	r.bytes += r.size()
	value = append(value, r.kind)
	for _, n := range []uint64{r.before, r.ordinal, r.bytes, r.clock} {
		value = binary.AppendUvarint(value, n)
	}
	b.Put(key, seal(key, append(value, r.body...)))
}

// decodeRecord returns the record of a pair. If it is damaged, the offset is right
// all the same, unless the key is none of ours.
func decodeRecord(pair store.Pair) (r record, err error) {
	if len(pair.Key) != recordKeyLength {
		return r, fmt.Errorf("eventlog: %q is no record", pair.Key)
	}
	r.offset = numberOf(pair.Key)
	rest, err := unseal(pair.Key, pair.Value)
	if err != nil {
		return r, err
	}
	if len(rest) == 0 {
		return r, errShort
	}
	r.kind = rest[0]
	r.body, err = cutNumbers(rest[1:], &r.before, &r.ordinal, &r.bytes, &r.clock)
	if err == nil && (r.count() > r.offset || r.before > r.offset-r.count()) {
		err = fmt.Errorf("eventlog: record %d accounts for more than there was", r.offset)
	}
	return r, err
}

// first returns the first offset that the record accounts for.
func (r *record) first() uint64 { return r.offset - r.before - (r.count() - 1) }

// count returns how many publications the record stands for.
func (r *record) count() uint64 {
	if r.kind != kindDropped {
		return 1
	}
	n, _ := binary.Uvarint(r.body)
	return max(n, 1)
}

func droppedBody(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// encodePublication returns the body of a publication.
func encodePublication(types *codec.Registry, args *pubsub.PublishArgs) ([]byte, error) {
	var origin pubsub.Origin
	if args.Origin != nil {
		origin = *args.Origin
	}
	label, data, err := types.Append(nil, args.Data)
	if err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	body := binary.AppendUvarint(nil, uint64(len(origin.Name)))
	body = append(body, origin.Name...)
	body = binary.AppendUvarint(body, origin.Epoch)
	return codec.Append(codec.Binary, body, &codec.Event{Time: args.Time, Events: args.Events, Type: label, Data: data})
}

// decodePublication is the reverse. Data that its type cannot decode is a Raw.
func decodePublication(types *codec.Registry, body []byte) (args pubsub.PublishArgs, err error) {
	var length, originEpoch uint64
	if body, err = cutNumbers(body, &length); err != nil {
		return args, err
	}
	if length > uint64(len(body)) {
		return args, errShort
	}
	name := string(body[:length])
	if body, err = cutNumbers(body[length:], &originEpoch); err != nil {
		return args, err
	}
	if name != "" || originEpoch != 0 {
		args.Origin = &pubsub.Origin{Name: name, Epoch: originEpoch}
	}
	var e codec.Event
	if err = codec.Decode(codec.Binary, body, &e); err != nil {
		return args, fmt.Errorf("eventlog: %w", err)
	}
	args.Time, args.Events = e.Time, e.Events
	if args.Data, err = types.Decode(e.Type, e.Data); err != nil {
		args.Data = codec.RawOf(e.Type, e.Data)
	}
	return args, nil
}

// clockOf returns a time as records hold it.
func clockOf(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

// A mark stands beside the engine's files. It tells how far a log went that was
// closed, whatever has become of the files.
type mark struct {
	closed uint64 // 1: the rest holds
	last   uint64 // offset of the last record
	epoch  uint64 // which it belongs to
	base   uint64 // of the epoch
}

var markKey = []byte("mark")

func (m mark) encode() []byte { return encodeNumbers(markKey, m.closed, m.last, m.epoch, m.base) }

func decodeMark(text []byte) (m mark) {
	if text == nil || decodeNumbers(markKey, text, &m.closed, &m.last, &m.epoch, &m.base) != nil {
		return mark{} // it says nothing
	}
	return m
}
