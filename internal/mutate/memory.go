package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// errMemory is why a run was killed that held too much.
var errMemory = errors.New("it holds too much memory")

const lookAtMemory = 50 * time.Millisecond

// watchMemory kills a process when it holds more than limit bytes. When ended is
// closed, what is returned tells whether it did. A limit of the system, such as
// RLIMIT_AS, would not do: the race detector reserves terabytes and uses little.
func watchMemory(p *os.Process, limit int64, ended <-chan struct{}) (killed <-chan bool) {
	result := make(chan bool, 1)
	go func() {
		ticker := time.NewTicker(lookAtMemory)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if limit > 0 && residentOf(p.Pid) > limit {
					_ = p.Kill() // it may just have ended
					result <- true
					return
				}
			case <-ended:
				result <- false
				return
			}
		}
	}()
	return result
}

// residentOf returns how many bytes of memory a process holds; 0 if that is
// unknown, as where there is no /proc.
func residentOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
