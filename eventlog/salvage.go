package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/harkbus/pubsub/store"
)

// Salvage copies what is whole of the log of one engine to another one, which must
// be empty, and reports what Verify finds there. It also takes logs that cannot be
// opened. Publications keep their places, so that cursors stay valid, and what is
// missing is a gap as before. The log that it reads is not changed.
func Salvage(ctx context.Context, from, to store.Engine) (Report, error) {
	for pair, err := range to.Ascend(nil, nil) {
		if err == nil {
			err = fmt.Errorf("it has the key %.20q and is not empty", pair.Key)
		}
		return Report{}, fmt.Errorf("eventlog: salvage to: %w", err)
	}
	s := salvage{from: from, to: to}
	if err := s.run(ctx); err != nil {
		return Report{}, fmt.Errorf("eventlog: salvage: %w", err)
	}
	l, err := Open(to, Options{})
	if err != nil {
		return Report{}, err
	}
	return l.Verify(ctx)
}

type salvage struct {
	from, to store.Engine
	batch    store.Batch
	first    uint64 // offset that the first whole record accounts for; 0: there is none
	last     uint64 // offset of the last
}

func (s *salvage) run(ctx context.Context) error {
	var version uint64
	if value, err := s.from.Get(versionKey); err == nil && decodeNumbers(versionKey, value, &version) == nil && version != formatVersion {
		return fmt.Errorf("the log has format %d, and this program knows %d", version, formatVersion)
	}
	s.batch.Put(versionKey, encodeNumbers(versionKey, formatVersion))
	if err := s.copy(ctx, epochKey, epochsEnd, func(pair store.Pair) bool {
		_, err := decodeEpoch(pair)
		return err == nil
	}); err != nil {
		return err
	}
	if err := s.copy(ctx, recordKey, recordsEnd, s.keeps); err != nil {
		return err
	}
	s.state()
	if err := s.flush(); err != nil {
		return err
	}
	mark, err := store.Mark(s.from)
	if err != nil || mark == nil {
		return err
	}
	return store.SetMark(s.to, mark)
}

// keeps tells whether a record is whole.
func (s *salvage) keeps(pair store.Pair) bool {
	r, err := decodeRecord(pair)
	if err != nil {
		return false
	}
	if s.last == 0 {
		s.first = r.first()
	}
	s.last = r.offset
	return true
}

// state copies the state, or makes one up of the records: as after a crash, with
// which publications may have been seen that are not there.
func (s *salvage) state() {
	var known state
	if value, err := s.from.Get(stateKey); err == nil && known.decode(value) == nil {
		known.put(&s.batch)
		return
	}
	if s.last > 0 {
		known = state{oldest: s.first - 1, swept: s.first - 1, reserved: s.last + reserve, open: openBehind}
		known.put(&s.batch)
	}
}

// copy copies the pairs of a range of numbered keys that are whole. Where the
// engine cannot read it goes on as soon as it can.
func (s *salvage) copy(ctx context.Context, key func(uint64) []byte, end []byte, whole func(store.Pair) bool) error {
	next, more := uint64(0), true
	for more {
		var failure error
		for pair, err := range s.from.Ascend(key(next), end) {
			if failure = err; err != nil {
				break
			}
			if len(pair.Key) != recordKeyLength {
				continue
			}
			next = numberOf(pair.Key) + 1
			if whole(pair) {
				s.batch.Put(pair.Key, pair.Value)
			}
			if s.batch.Len() >= maxWriteRecords || s.batch.Size() >= maxWriteBytes {
				if err := errors.Join(ctx.Err(), s.flush()); err != nil {
					return err
				}
			}
		}
		if errors.Is(failure, store.ErrClosed) {
			return failure
		}
		more = failure != nil
		if more {
			next, more = s.readable(next, key, end)
		}
	}
	return ctx.Err()
}

func (s *salvage) flush() error {
	defer s.batch.Reset()
	return s.to.Commit(&s.batch)
}

// readable returns the least number after one that cannot be read from which the
// engine reads again, as far as trying in doubling steps tells.
func (s *salvage) readable(bad uint64, key func(uint64) []byte, end []byte) (good uint64, found bool) {
	reads := func(number uint64) bool {
		for _, err := range s.from.Ascend(key(number), end) {
			return err == nil
		}
		return true
	}
	for step := uint64(1); ; step *= 2 {
		if step > math.MaxUint64/4 || bad > math.MaxUint64-step {
			return 0, false
		}
		if good = bad + step; reads(good) {
			break
		}
	}
	for bad+1 < good {
		if middle := bad + (good-bad)/2; reads(middle) {
			good = middle
		} else {
			bad = middle
		}
	}
	return good, true
}
