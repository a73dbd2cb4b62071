package service

import (
	"bytes"
	"runtime"
)

// A goroutine is the number of one, in digits. The runtime shows it only at
// the head of a stack trace, so asking for it costs microseconds: Start and
// Stop can afford that.
type goroutine string

// thisGoroutine returns the one that calls it. The number is not given again.
func thisGoroutine() goroutine {
	var trace [64]byte // goroutine 123 [running]: …
	head := trace[:runtime.Stack(trace[:], false)]
	return goroutine(bytes.Fields(head)[1])
}
