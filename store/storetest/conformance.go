package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/harkbus/pubsub/store"
)

// An Opener opens an engine, and after it has been closed opens it again with
// what is in it.
type Opener func() (store.Engine, error)

// Test checks that engines are what [store.Engine] says. fresh returns the opener
// of an engine that is empty, each time of another one.
func Test(t *testing.T, fresh func(t testing.TB) Opener) {
	for name, test := range map[string]func(*testing.T, Opener){
		"behaves like a map":                       behavesLikeAMap,
		"empty values are values":                  emptyValuesAreValues,
		"any bytes are keys":                       anyBytesAreKeys,
		"writing while reading":                    writingWhileReading,
		"a batch is seen as a whole":               batchIsSeenAsAWhole,
		"buffers belong to the caller":             buffersBelongToTheCaller,
		"nothing works after Close":                nothingWorksAfterClose,
		"an empty batch is nothing":                emptyBatchIsNothing,
		"an engine that is open is not for others": openEngineIsNotForOthers,
		"the mark is kept":                         markIsKept,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func mustOpen(t testing.TB, open Opener) store.Engine {
	t.Helper()
	e, err := open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func mustCommit(t testing.TB, e store.Engine, fill func(*store.Batch)) {
	t.Helper()
	var b store.Batch
	fill(&b)
	if err := e.Commit(&b); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func put(t testing.TB, e store.Engine, key, value string) {
	t.Helper()
	mustCommit(t, e, func(b *store.Batch) { b.Put([]byte(key), []byte(value)) })
}

// A model is what an engine should hold.
type model map[string]string

func (m model) apply(b *store.Batch) {
	for o := range b.All() {
		if o.Delete {
			delete(m, string(o.Key))
		} else {
			m[string(o.Key)] = string(o.Value)
		}
	}
}

// keys returns those from low up to high, which are not limits if they are nil.
func (m model) keys(low, high []byte) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(key string) bool {
		return key < string(low) || high != nil && key >= string(high)
	})
}

// differs says how an engine differs from the model, in the keys of a range.
func (m model) differs(e store.Engine, low, high []byte) error {
	want := m.keys(low, high)
	if err := m.differsIn(e.Ascend(low, high), want); err != nil {
		return fmt.Errorf("ascending from %q to %q: %w", low, high, err)
	}
	slices.Reverse(want)
	if err := m.differsIn(e.Descend(low, high), want); err != nil {
		return fmt.Errorf("descending from %q to %q: %w", low, high, err)
	}
	return nil
}

func (m model) differsIn(pairs iter.Seq2[store.Pair, error], want []string) error {
	n := 0
	for pair, err := range pairs {
		switch {
		case err != nil:
			return err
		case n == len(want):
			return fmt.Errorf("%q comes after the last key", pair.Key)
		case string(pair.Key) != want[n]:
			return fmt.Errorf("key %d of %d is %q and should be %q", n, len(want), pair.Key, want[n])
		case string(pair.Value) != m[want[n]]:
			return fmt.Errorf("the value of %q is %.40q and should be %.40q", pair.Key, pair.Value, m[want[n]])
		}
		n++
	}
	if n < len(want) {
		return fmt.Errorf("%d keys came, and %q should be next", n, want[n])
	}
	return nil
}

// randomKey returns one of few keys, so that they meet.
func randomKey(random *rand.Rand) []byte {
	key := make([]byte, 1+random.IntN(3))
	for i := range key {
		key[i] = "\x00aAz\xff"[random.IntN(5)]
	}
	return key
}

// randomBatch returns changes of which some concern the same key.
func randomBatch(random *rand.Rand, most int) *store.Batch {
	b := new(store.Batch)
	for range 1 + random.IntN(most) {
		if random.IntN(3) == 0 {
			b.Delete(randomKey(random))
		} else {
			b.Put(randomKey(random), bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(300)))
		}
	}
	return b
}

func behavesLikeAMap(t *testing.T, open Opener) {
	e, m := mustOpen(t, open), model{}
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		b := randomBatch(random, 20)
		if err := e.Commit(b); err != nil {
			t.Fatalf("commit: %v", err)
		}
		m.apply(b)
		key := randomKey(random)
		value, err := e.Get(key)
		if want, ok := m[string(key)]; ok && (err != nil || string(value) != want) {
			t.Fatalf("Get(%q) = %q, %v, and should be %q", key, value, err, want)
		} else if !ok && (!errors.Is(err, store.ErrNotFound) || value != nil) {
			t.Fatalf("Get(%q) = %q, %v, and it is not there", key, value, err)
		}
		low, high := randomKey(random), randomKey(random)
		for _, limits := range [][2][]byte{{low, high}, {nil, high}, {low, nil}, {nil, nil}} {
			if err := m.differs(e, limits[0], limits[1]); err != nil {
				t.Fatal(err)
			}
		}
		if random.IntN(12) == 0 {
			if err := e.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			e = mustOpen(t, open)
		}
	}
}

func emptyValuesAreValues(t *testing.T, open Opener) {
	e := mustOpen(t, open)
	put(t, e, "empty", "")
	for range 2 {
		if value, err := e.Get([]byte("empty")); err != nil || value == nil || len(value) > 0 {
			t.Fatalf("Get = %#v, %v", value, err)
		}
		for pair := range e.Ascend(nil, nil) {
			if pair.Value == nil {
				t.Fatal("the value of a pair is nil")
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, open)
	}
}

func anyBytesAreKeys(t *testing.T, open Opener) {
	e, m := mustOpen(t, open), model{}
	mustCommit(t, e, func(b *store.Batch) {
		for _, key := range []string{"\x00", "\x00\x00", "\xff", "\xff\xff", "\xff\xff\xff", string(bytes.Repeat([]byte{0xff}, 3000)), "a\x00b"} {
			b.Put([]byte(key), []byte(key))
		}
		m.apply(b)
	})
	for low := range m {
		for high := range m {
			if err := m.differs(e, []byte(low), []byte(high)); err != nil {
				t.Fatal(err)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an empty key is taken")
		}
	}()
	new(store.Batch).Put(nil, nil)
}

// What is there and stays comes once, whatever is written in the loop.
func writingWhileReading(t *testing.T, open Opener) {
	const keys = 1000
	e := mustOpen(t, open)
	mustCommit(t, e, func(b *store.Batch) {
		for i := range keys {
			b.Put(fmt.Appendf(nil, "%04d", i), bytes.Repeat([]byte("x"), 100))
		}
	})
	for name, read := range map[string]iter.Seq2[store.Pair, error]{"Ascend": e.Ascend(nil, nil), "Descend": e.Descend(nil, nil)} {
		seen := map[string]int{}
		for pair, err := range read {
			if err != nil {
				t.Fatal(err)
			}
			seen[string(pair.Key)]++
			if len(seen)%100 == 1 {
				put(t, e, string(pair.Key)+" and more", name)
				for range e.Descend(nil, nil) {
					break
				}
			}
		}
		for i := range keys {
			if key := fmt.Sprintf("%04d", i); seen[key] != 1 {
				t.Fatalf("%s: %s came %d times", name, key, seen[key])
			}
		}
	}
}

// Readers beside a commit see all of it or nothing: who has seen one key sees
// the other.
func batchIsSeenAsAWhole(t *testing.T, open Opener) {
	e := mustOpen(t, open)
	var readers sync.WaitGroup
	defer readers.Wait()
	stop := make(chan struct{})
	defer close(stop)
	put(t, e, "a", "000")
	put(t, e, "z", "000")
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				z, err := e.Get([]byte("z"))
				a, err2 := e.Get([]byte("a"))
				if err != nil || err2 != nil || string(a) < string(z) {
					t.Errorf("z is %q, %v, and a after it %q, %v", z, err, a, err2)
					return
				}
			}
		})
	}
	for i := range 100 {
		mustCommit(t, e, func(b *store.Batch) {
			b.Put([]byte("z"), fmt.Appendf(nil, "%03d", i))
			b.Put([]byte("a"), fmt.Appendf(nil, "%03d", i))
		})
	}
}

func buffersBelongToTheCaller(t *testing.T, open Opener) {
	e := mustOpen(t, open)
	var b store.Batch
	key, value := []byte("key"), []byte("value")
	b.Put(key, value)
	copy(key, "xxx")
	copy(value, "xxxxx")
	if err := e.Commit(&b); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	b.Put([]byte("yyy"), []byte("yyyyy"))
	var pairs []store.Pair
	for pair, err := range e.Ascend(nil, nil) {
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair)
	}
	put(t, e, "key", "other")
	if len(pairs) != 1 || string(pairs[0].Key) != "key" || string(pairs[0].Value) != "value" {
		t.Fatalf("the engine has %q", pairs)
	}
}

func nothingWorksAfterClose(t *testing.T, open Opener) {
	e := mustOpen(t, open)
	put(t, e, "key", "value")
	read := e.Ascend(nil, nil)
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	var b store.Batch
	b.Put([]byte("key"), []byte("other"))
	_, err := e.Get([]byte("key"))
	errs := []error{err, e.Commit(&b), e.Commit(new(store.Batch))}
	for _, pairs := range []iter.Seq2[store.Pair, error]{read, e.Ascend(nil, nil), e.Descend(nil, nil)} {
		var last error
		for _, last = range pairs {
		}
		errs = append(errs, last)
	}
	for i, err := range errs {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func emptyBatchIsNothing(t *testing.T, open Opener) {
	e := mustOpen(t, open)
	mustCommit(t, e, func(*store.Batch) {})
	for pair, err := range e.Ascend(nil, nil) {
		t.Fatal(pair, err)
	}
}

func openEngineIsNotForOthers(t *testing.T, open Opener) {
	e := mustOpen(t, open)
	other, err := open()
	var inUse *store.InUseError
	if !errors.As(err, &inUse) {
		if err == nil {
			_ = other.Close()
		}
		t.Fatalf("opened twice: %v", err)
	}
	put(t, e, "key", "value")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if value, err := mustOpen(t, open).Get([]byte("key")); string(value) != "value" {
		t.Fatalf("Get = %q, %v", value, err)
	}
}

// The mark is what it was last set to, and is no key. An engine may have none.
func markIsKept(t *testing.T, open Opener) {
	e := mustOpen(t, open)
	if m, ok := e.(store.Marker); !ok {
		return
	} else if _, err := m.Mark(); errors.Is(err, errors.ErrUnsupported) {
		if err := m.SetMark(nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("SetMark returns %v, and Mark is not supported", err)
		}
		return
	}
	for _, want := range []string{"", "first", "another one", "2"} {
		if mark, err := store.Mark(e); err != nil || string(mark) != want {
			t.Fatalf("the mark is %q, %v, and should be %q", mark, err, want)
		}
		next := map[string]string{"": "first", "first": "another one", "another one": "2"}[want]
		if err := store.SetMark(e, []byte(next)); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = mustOpen(t, open)
	}
	for pair := range e.Ascend(nil, nil) {
		t.Fatalf("%q is a key", pair.Key)
	}
}
