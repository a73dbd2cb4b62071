package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

var errNoServer = errors.New("redistest: redis-server is not installed; on Debian run: sudo apt-get install -y redis-server")

// watchdog runs a command until its standard input ends, then kills it. The
// other end of that pipe is in this process and closes however it dies, also by
// SIGKILL, and on systems that have no PR_SET_PDEATHSIG.
const watchdog = `"$@" >>log 2>&1 & echo $!; read -r _; kill -9 $!; wait`

// A process is one command below its watchdog.
type process struct {
	pid      int
	watchdog *exec.Cmd
	life     io.Closer // the write end of the watchdog's standard input
}

// startServer starts redis-server in dir; what it prints goes to the file log.
func startServer(dir string, env, args []string) (*process, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoServer
	}
	return startProcess(dir, env, nil, binary, args)
}

// startProcess starts a command in dir, with env beside the environment of this
// process and files from descriptor 3 on; what it prints goes to the file log.
func startProcess(dir string, env []string, files []*os.File, binary string, args []string) (*process, error) {
	cmd := exec.Command("sh", append([]string{"-c", watchdog, "redistest", binary}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.ExtraFiles = files
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("redistest: start %s: %w", binary, err)
	}
	p := &process{watchdog: cmd, life: life}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if p.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		p.kill()
		return nil, fmt.Errorf("redistest: start %s: no process id: %w", binary, err)
	}
	return p, nil
}

// kill ends the command as a power cut would, and waits for its end.
func (p *process) kill() {
	_ = p.signal(syscall.SIGCONT) // a stopped watchdog child is killed all the same; this spares ps readers a puzzle
	_ = p.life.Close()
	_ = p.watchdog.Wait()
}

func (p *process) signal(s syscall.Signal) error {
	if p.pid == 0 {
		return nil
	}
	return syscall.Kill(p.pid, s)
}

// alive tells whether the server still runs: a zombie answers signal 0 too, but
// the watchdog's shell reaps its child only when it is told to end, so the
// state is read where there is /proc and assumed elsewhere.
func (p *process) alive() bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "stat"))
	if err != nil {
		return p.signal(0) == nil
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
