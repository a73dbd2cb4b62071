package match

// Stats are the counters of an [Index]. Those that count work only grow;
// differences of two snapshots tell what an operation did, the same on every
// machine.
type Stats struct {
	Queries  int // held now
	Residual int // of these, held without a condition to find them by: every event is tried on them
	Nodes    int // parts of the index: one root, one for each hot condition
	Bytes    int // held by the index, without the callers' queries and values

	Events     uint64 // matched
	Candidates uint64 // queries that an event was tried on, in full or by one condition
	Matches    uint64 // of these, matches; those that Find leaves undecided are none
	Undecided  uint64 // of the candidates, those that it took regular expressions, or long searches, to decide
	Visited    uint64 // nodes, and blocks of range trees, that events passed through
	Probes     uint64 // look-ups in the table of conditions
	Moved      uint64 // entries that made room for others in Add and Remove
}
