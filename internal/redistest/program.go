package redistest

import (
	"os"
	"path/filepath"
	"syscall"
)

// A Program is a process of a test that is not Redis: one that is to be stopped,
// continued and killed. It dies with the process that started it. Its methods
// may be called from any goroutine, but Close only after all others.
type Program struct {
	proc *process
	dir  string
}

// StartProgram starts a program with env beside the environment of this process
// and with files from descriptor 3 on. The caller closes it.
func StartProgram(env []string, files []*os.File, binary string, args ...string) (*Program, error) {
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		return nil, err
	}
	proc, err := startProcess(dir, env, files, binary, args)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return &Program{proc: proc, dir: dir}, nil
}

// Pause stops the program, as a machine does that swaps or sleeps.
func (p *Program) Pause() error { return p.proc.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Program) Resume() error { return p.proc.signal(syscall.SIGCONT) }

// Close kills the program, unless it has ended by itself, waits for its end and
// returns what it has printed.
func (p *Program) Close() (printed string) {
	p.proc.kill()
	log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	_ = os.RemoveAll(p.dir)
	return string(log)
}
