// Package callgrind counts instructions, which are the same on a busy machine
// as on an idle one. It runs this program again, under valgrind.
package callgrind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// ErrUnavailable says that instructions cannot be counted here.
var ErrUnavailable = errors.New("callgrind: needs valgrind in the PATH, and a processor of the amd64 kind")

// Count runs this program with args under callgrind and returns how many
// instructions it executed between [Start] and [Stop].
func Count(ctx context.Context, args ...string) (uint64, error) {
	valgrind, err := exec.LookPath("valgrind")
	if err != nil || !supported {
		return 0, ErrUnavailable
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	folder, err := os.MkdirTemp("", "callgrind")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	profile := filepath.Join(folder, "out")
	options := []string{"--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=" + profile, self}
	cmd := exec.CommandContext(ctx, valgrind, append(options, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("callgrind: %w\n%s", err, bytes.TrimSpace(out))
	}
	return total(profile)
}

var totals = regexp.MustCompile(`(?m)^totals: (\d+)`)

func total(profile string) (uint64, error) {
	text, err := os.ReadFile(profile)
	if err != nil {
		return 0, err
	}
	found := totals.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("callgrind: the profile has no total")
	}
	return strconv.ParseUint(string(found[1]), 10, 64)
}

// Start begins to count. Outside callgrind it does nothing.
func Start() { request(startInstrumentation) }

// Stop ends what Start began.
func Stop() { request(stopInstrumentation) }

// From valgrind/callgrind.h.
const (
	startInstrumentation = 'C'<<24 | 'T'<<16 + 4
	stopInstrumentation  = 'C'<<24 | 'T'<<16 + 5
)
