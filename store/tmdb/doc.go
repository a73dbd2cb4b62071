// Package tmdb is the [store.Engine] on tm-db, the database interface of
// Tendermint.
//
//	engine, err := tmdb.Open(dir)               // a directory of one's own: goleveldb
//	engine, err := tmdb.Use(db, "hark/")        // a part of the database that a node has open
//
// # A directory
//
// Open takes a directory for itself, and makes it if there is none:
//
//	data.db/    the database
//	owner/      a lock, and who has it
//	mark        what the one above keeps beside the database
//	ballast     16 MiB that keep room to open the database again on a full disk
//
// A second Open, by this process or another one, fails with a [store.InUseError]
// that says who has it.
//
// What was committed survives a power loss if the disk does what it says. When the
// disk is full a Commit fails, and none is taken until the engine is opened
// again. It can be opened then, because the ballast makes room; it can be read,
// batches that only delete are taken, and all others fail with [store.ErrFull]
// until there is room for the ballast again.
//
// # A node's database
//
// Use puts its prefix before all keys. Commit writes one batch with WriteSync. What
// survives a power loss is the node's promise: a database that the node also
// writes to without a sync may lose what was synced before, and there is no
// ballast. Close leaves the database open.
//
// # What tm-db needs
//
// Measured with tm-db v0.6.7, and each held by a test:
//
//   - goleveldb is pinned to v1.0.1-0.20210819022825-2ae1ddf74ef7. The version that
//     tm-db asks for does not sync a new manifest: 134 of 3,000 simulated power
//     losses left a database that could not be opened. Later ones return nil for
//     an empty value, as for a key that is not there; where a user's go.mod brings
//     one in, Get looks twice.
//   - All is written with WriteSync. Mixed with Write, 2,624 records vanished:
//     a sync is of the journal that is written to, and not of the one before.
//   - After a Commit that failed none is taken. goleveldb itself goes on: 13,524
//     acknowledged records were lost.
//   - Iterators are asked for their error at the end, and are closed before anything
//     else is done: some databases hold a lock until then.
//   - A PrefixDB of tm-db is not used, because it holds its lock during a sync, and
//     readers wait 8 to 93 times as long.
package tmdb
