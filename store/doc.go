// Package store is what the event log and the queue ask of the database below
// them: an ordered map of keys to values that survives a crash.
//
//	engine, err := tmdb.Open(dir)
//	…
//	var b store.Batch
//	b.Put([]byte("a"), []byte("1"))
//	b.Delete([]byte("b"))
//	err = engine.Commit(&b) // both or neither, and on disk
//
//	for pair, err := range engine.Ascend([]byte("a"), nil) {
//		…
//	}
//
// [github.com/harkbus/pubsub/store/tmdb] is the engine that programs use;
// [github.com/harkbus/pubsub/store/storetest] has the tests that every engine
// must pass, and one in memory whose disk fails on request.
//
// # What is on disk
//
// There is one way to write. Commit returns when all of the batch is on disk, and
// readers see the batch from then on, so nobody ever sees what a crash could take
// back. A batch that was not finished when the power went out is there as a whole
// or not at all. There is no write without a sync, because engines that are
// given both lose writes in the middle: a sync covers the file that is being
// written, and not the one before it.
//
// A Commit that fails leaves open whether the batch is on disk: the disk has
// been asked and did not answer. From then on every Commit fails with
// [ErrFailed], readers see what they saw before, and opening the engine again
// tells what is there. Writing on would acknowledge what the file system has
// dropped already.
//
// # Reading
//
// Reads run beside a Commit and do not wait for it. Ascend and Descend read
// ahead a little, and hold nothing of the engine while the loop body runs, which
// may therefore write, or take as long as it likes. So they are no snapshot: what
// is committed during a loop is seen or not, while every key that was there before
// and stays comes exactly once. An error comes once and last.
//
// # Writing from many goroutines
//
// A sync takes as long for one operation as for a thousand. A [Committer] joins
// what many goroutines write at the same time to one batch:
//
//	c := store.NewCommitter(engine)
//	err := c.Commit(func(b *store.Batch) error {
//		b.Put(key, value)
//		return nil
//	})
//
// # What it does not do
//
// Keys that were deleted are passed over one by one until the engine has compacted
// them. Whoever deletes from one end remembers where the rest begins, and reads from
// there.
//
// Engines keep bytes, and do not promise to notice that a disk has changed them:
// of the one below tmdb every flipped bit in the journal was a record that
// vanished without an error. Whoever needs to know gives its records a checksum
// and a number, as the event log does. A [Marker] keeps a few bytes beside the
// database, which tell how far that should go.
package store
