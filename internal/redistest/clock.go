package redistest

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A Clock is that of the servers that were started with it, and steps when it
// is told to. It needs Linux and gcc: a small library before the server's own
// changes what the time of day is. The monotonic clock goes on as it does.
type Clock struct {
	file, library string

	mu    sync.Mutex
	moved time.Duration
}

//go:embed testdata/clock.c
var clockSource []byte

// NewClock makes a clock that shows the time of the host.
func NewClock(t testing.TB) *Clock {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "clock.c")
	c := &Clock{file: filepath.Join(dir, "clock"), library: filepath.Join(dir, "clock.so")}
	require.NoError(t, os.WriteFile(source, clockSource, 0o600))
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-o", c.library, source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.WriteFile(c.file, make([]byte, 8), 0o600))
	return c
}

// Start is Start for a server that goes by the clock.
func (c *Clock) Start(t testing.TB, directives ...string) *Server {
	t.Helper()
	env := []string{"LD_PRELOAD=" + c.library, "HARK_TEST_CLOCK=" + c.file}
	s, err := launch(nil, env, func(_ string, port int) ([]string, error) {
		return append(defaults(port), directives...), nil
	})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// Step moves the clock by d, forwards or backwards, and returns how far it is
// ahead of the host then.
func (c *Clock) Step(d time.Duration) (ahead time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += d
	file, err := os.OpenFile(c.file, os.O_WRONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("redistest: %w", err)
	}
	defer file.Close()
	_, err = file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(c.moved.Microseconds())), 0)
	return c.moved, err
}
