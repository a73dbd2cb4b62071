package eventlog

// SetReserve changes how many offsets recorders reserve at once, and returns what
// changes it back.
func SetReserve(n uint64) (restore func()) {
	old := reserve
	reserve = n
	return func() { reserve = old }
}
