package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/harkbus/pubsub/store"
)

// A DiskOpener opens an engine whose files are on a simulated disk.
type DiskOpener func(*Disk) (store.Engine, error)

// PowerLoss cuts the power in the middle of everything that an engine does to
// its disk, one thing after the other, and then while it recovers. What was
// committed must be there, and of the batch that was not finished all or nothing.
func PowerLoss(t *testing.T, seed uint64, open DiskOpener) {
	everyStep(t, seed, open, (*Disk).CutPower, func(d *Disk, s *scenario) error {
		d.Restart()
		d.CutPower(1 + s.random.IntN(10))
		if e, err := open(d); err == nil {
			defer func() { _ = e.Close() }()
		}
		d.Restart()
		return nil
	})
}

// FailedSync lets every sync fail, one after the other. After the Commit that
// it belongs to none may be taken, readers must see what they saw, and whatever
// happens to the process or to the power, what was committed must be there.
func FailedSync(t *testing.T, seed uint64, open DiskOpener) {
	everyStep(t, seed, open, (*Disk).FailSync, func(d *Disk, s *scenario) error {
		if err := s.refusesWrites(); err != nil {
			return err
		}
		if s.random.IntN(2) == 0 {
			d.Restart()
		} else {
			d.Kill()
		}
		return nil
	})
}

// FullDisk lets the disk run full at every write. An engine that holds something
// must be readable when it is opened again on the full disk, and usable when there
// is room.
func FullDisk(t *testing.T, seed uint64, open DiskOpener) {
	fill := func(d *Disk, n int) { d.SetRoom(97 * (n - 1)) }
	everyStep(t, seed, open, fill, func(d *Disk, s *scenario) error {
		if err := s.refusesWrites(); err != nil {
			return err
		}
		d.Kill()
		if len(s.before) > 0 {
			if err := s.reopen(d, open); err != nil {
				return fmt.Errorf("on the full disk: %w", err)
			}
			d.Kill()
		}
		d.SetRoom(-1)
		return nil
	})
}

// A scenario is a number of commits, and what they should leave.
type scenario struct {
	random *rand.Rand
	engine store.Engine // nil until it has been opened once
	before model
	after  model // not nil: perhaps this one
}

const commits = 25

// everyStep plays a scenario with a fault at the first step, at the second and so
// on until it is played to the end. recover brings a disk that works.
func everyStep(t *testing.T, seed uint64, open DiskOpener, fault func(*Disk, int), recover func(*Disk, *scenario) error) {
	t.Helper()
	for step := 1; ; step++ {
		d := NewDisk(seed<<16 + uint64(step))
		s := &scenario{random: rand.New(rand.NewPCG(seed, 3)), before: model{}}
		fault(d, step)
		err := s.play(d, open)
		if err == nil {
			return
		}
		if err := recover(d, s); err != nil {
			t.Fatalf("round %d, step %d: %v", seed, step, err)
		}
		if err := s.reopen(d, open); err != nil {
			t.Fatalf("round %d, step %d: %v", seed, step, err)
		}
		if err := s.play(d, open); err != nil {
			t.Fatalf("round %d, after step %d: %v", seed, step, err)
		}
		_ = s.engine.Close()
	}
}

// play commits, and closes and opens now and then, until something fails.
func (s *scenario) play(d *Disk, open DiskOpener) (err error) {
	for range commits {
		if s.engine == nil || s.random.IntN(10) == 0 {
			if err := s.openAgain(d, open); err != nil {
				return err
			}
		}
		b := randomBatch(s.random, 8)
		after := maps.Clone(s.before)
		after.apply(b)
		if err := s.engine.Commit(b); err != nil {
			s.after = after
			return err
		}
		s.before = after
	}
	return s.before.differs(s.engine, nil, nil)
}

func (s *scenario) openAgain(d *Disk, open DiskOpener) (err error) {
	if s.engine != nil {
		if err := s.engine.Close(); err != nil {
			return err
		}
	}
	e, err := open(d)
	if err == nil {
		s.engine = e
	}
	return err
}

// refusesWrites says what is wrong after a Commit that failed.
func (s *scenario) refusesWrites() error {
	if s.after == nil {
		return nil // it was no Commit that failed
	}
	for range 2 {
		var b store.Batch
		b.Put([]byte("more"), nil)
		if err := s.engine.Commit(&b); !errors.Is(err, store.ErrFailed) && !errors.Is(err, store.ErrFull) {
			return fmt.Errorf("after a Commit that failed another one returns %v", err)
		}
	}
	if err := s.before.differs(s.engine, nil, nil); err != nil {
		return fmt.Errorf("after a Commit that failed: %w", err)
	}
	return nil
}

// reopen opens the engine of a process that is no more, and compares.
func (s *scenario) reopen(d *Disk, open DiskOpener) error {
	if s.engine != nil {
		_ = s.engine.Close()
	}
	e, err := open(d)
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	s.engine = e
	err = s.before.differs(e, nil, nil)
	if err != nil && s.after != nil && s.after.differs(e, nil, nil) == nil {
		s.before, err = s.after, nil
	}
	s.after = nil
	return err
}
