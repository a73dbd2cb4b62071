// Package eventlog keeps what was published, on disk, for those who come later.
//
//	engine, err := tmdb.Open(dir)
//	log, err := eventlog.Open(engine, eventlog.Options{})
//	rec, err := log.Record(server, eventlog.RecordOptions{})
//	…
//	for entry, err := range log.Follow(ctx, cursor, query.MustParse("tm.event = 'Tx'")) {
//		if entry.Gap != nil {
//			… // publications are missing there
//		}
//		… // entry.Message, and after it the place entry.Cursor
//	}
//	…
//	err = log.Close()    // the recorder, too
//	err = engine.Close()
//
// # Places
//
// Every publication has an offset, which no other one gets, whatever happens. The
// first append after each opening begins an epoch. A [history.Cursor] is both, and
// the cursors of a log sort like its publications, as text too. Whoever comes back
// with the last one gets what follows, once and in order.
//
// Start where you like: the zero Cursor is before everything; Bounds has the oldest
// and the newest place, Cursor that of an offset, Since that of a time.
//
// # Loss is delivered
//
// Where publications are missing, readers get a [history.Gap] that says which and
// why:
//
//	retention      they were pruned
//	corruption     the record cannot be read, or is not there
//	crash          they were seen, and the process ended before they were on disk
//	overflow       the recorder dropped them; Count says how many
//	epoch_changed  the cursor is of another log
//
// Every record has a checksum and says where the one before it ended, so that
// nothing is missing silently. Close notes how far the log goes, in a file beside
// those of the engine: an engine that lost the end of a closed log is damaged, while
// one that lost a write in a crash is not. With Options.Strict reading ends at
// the first damage. Verify reads everything and reports; Salvage copies what is
// whole to another engine, where it keeps its places.
//
// # Recording and appending
//
// A [Recorder] writes behind its server: publishers pay for a queue, subscribers
// wait for nothing, and a crash takes what is not on disk yet. Publish of the
// recorder waits for the disk, and Flush waits for all that was published. Whoever
// was sent something that a crash took has a cursor into the lost part, and gets
// the gap. The queue is bounded: publishers wait when it is full, or with Drop the
// log has a gap. A recorder whose engine fails lets go of the server; see Err.
//
// Append writes without a server, and returns when all of it is on disk; a crash
// leaves all of it or nothing. Those who append at the same time share a sync.
//
// # Pruning
//
// Prune removes the oldest publications by age, count or bytes, beside readers and
// writers. Whoever reads there gets the gap and goes on.
//
// # Types
//
// Data is stored as [codec.Registry] says. Data of a type that is not registered
// when it is read comes as a codec.Raw, or as json.RawMessage if it was not
// registered when it was written; data that cannot be stored is a gap in a recorded
// log, and an error of Append.
//
// # Ends
//
// Close closes the recorder, ends Follow and Await with [ErrClosed], and leaves the
// engine to whoever opened it. After a failure of the engine nothing is appended any
// more: close both and open them again.
package eventlog
