// Package usercode tells whether a function of a user has called the caller:
// what waits for the bus must not wait under it.
package usercode

import (
	"reflect"
	"runtime"
	"slices"
)

// doors are the functions through which user code is called. They are written
// while packages are initialized.
var doors []string

// Through adds a function through which user code is called. It is called while
// packages are initialized, and returns true, so that it can be called where a
// variable is.
func Through(door any) bool {
	doors = append(doors, runtime.FuncForPC(reflect.ValueOf(door).Pointer()).Name())
	return true
}

// Calls tells whether user code has called the caller. It looks through the
// stack, which takes microseconds.
func Calls() bool {
	callers := make([]uintptr, 64)
	n := runtime.Callers(2, callers)
	for n == len(callers) {
		callers = make([]uintptr, 2*n)
		n = runtime.Callers(2, callers)
	}
	frames := runtime.CallersFrames(callers[:n])
	for more := n > 0; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if slices.Contains(doors, frame.Function) {
			return true
		}
	}
	return false
}
