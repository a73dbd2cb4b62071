package tmdb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/store"
)

// The tests start this program again as one that has a directory open.
const variable = "HARK_TMDB_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(variable); dir != "" {
		if err := write(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const writers = 8

// write commits from several goroutines until it is killed, and prints what is on
// disk: the writer and its number. It ends with its standard input.
func write(dir string) error {
	e, err := small.Open(dir)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("open")
	var printing sync.Mutex
	var all sync.WaitGroup
	c := store.NewCommitter(e)
	for w := range writers {
		all.Go(func() {
			for n := 0; ; n++ {
				err := c.Commit(func(b *store.Batch) error {
					b.Put(recordKey(w, n), bytes.Repeat([]byte{byte(n)}, 300))
					b.Put(fmt.Appendf(nil, "last %d", w), strconv.AppendInt(nil, int64(n), 10))
					return nil
				})
				if err != nil {
					return
				}
				printing.Lock()
				fmt.Println(w, n)
				printing.Unlock()
			}
		})
	}
	all.Wait()
	return errors.New("a commit failed")
}

func recordKey(w, n int) []byte { return fmt.Appendf(nil, "record %d %08d", w, n) }

// A writer is another process that writes to a directory.
type writer struct {
	*exec.Cmd
	out  *bufio.Scanner
	last [writers]int // acknowledged; -1: none
}

func startWriter(t *testing.T, dir string) *writer {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	w := &writer{Cmd: cmd, out: bufio.NewScanner(out)}
	for i := range w.last {
		w.last[i] = -1
	}
	require.True(t, w.out.Scan())
	require.Equal(t, "open", w.out.Text())
	return w
}

// read takes n acknowledgements, or all there are.
func (w *writer) read(t *testing.T, n int) {
	for ; n != 0 && w.out.Scan(); n-- {
		name, number, ok := strings.Cut(w.out.Text(), " ")
		if !ok {
			continue // the last line, cut off
		}
		i, err := strconv.Atoi(name)
		require.NoError(t, err)
		last, err := strconv.Atoi(number)
		require.NoError(t, err)
		w.last[i] = last
	}
}

// kill ends the process as kill -9 does, and takes what it had acknowledged, but
// for a line that may be cut off.
func (w *writer) kill(t *testing.T) {
	require.NoError(t, w.Process.Kill())
	w.read(t, -1)
	_ = w.Wait()
}

func TestDirectoryInUseSaysWhoHasIt(t *testing.T) {
	dir := t.TempDir()
	w := startWriter(t, dir)
	_, err := small.Open(dir)
	var inUse *store.InUseError
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, dir, inUse.Dir)
	require.Equal(t, w.Process.Pid, inUse.PID)
	require.Equal(t, filepath.Base(os.Args[0]), inUse.Program)
	require.WithinDuration(t, time.Now(), inUse.Since, time.Hour)
	require.ErrorContains(t, err, fmt.Sprintf("%s is in use by %s (process %d) since", dir, inUse.Program, inUse.PID))
	w.kill(t)
	e := mustOpen(t, dir)
	_, err = small.Open(dir)
	require.ErrorAs(t, err, &inUse)
	require.Equal(t, os.Getpid(), inUse.PID)
	require.NoError(t, e.Close())
	require.NoFileExists(t, filepath.Join(dir, "owner", "process"))
}

// Whatever a process has acknowledged is there after kill -9, and of the batch that
// it was writing all or nothing.
func TestKilledProcessLosesNothing(t *testing.T) {
	dir := t.TempDir()
	for round := range soak.Rounds(t, 4) {
		w := startWriter(t, dir)
		w.read(t, rand.New(rand.NewPCG(round, 4)).IntN(300))
		w.kill(t)
		e := mustOpen(t, dir)
		for i, acknowledged := range w.last {
			value, err := e.Get(fmt.Appendf(nil, "last %d", i))
			if acknowledged < 0 && errors.Is(err, store.ErrNotFound) {
				continue
			}
			require.NoError(t, err)
			last, err := strconv.Atoi(string(value))
			require.NoError(t, err)
			if acknowledged >= 0 {
				require.LessOrEqual(t, acknowledged, last)
			}
			n := 0
			for pair, err := range e.Ascend(recordKey(i, 0), fmt.Appendf(nil, "record %d~", i)) {
				require.NoError(t, err)
				require.Equal(t, string(recordKey(i, n)), string(pair.Key))
				require.Equal(t, bytes.Repeat([]byte{byte(n)}, 300), pair.Value)
				n++
			}
			require.Equal(t, last+1, n)
		}
		removeAll(t, e)
		require.NoError(t, e.Close())
	}
}

// removeAll removes everything.
func removeAll(t *testing.T, e store.Engine) {
	var b store.Batch
	for _, key := range keys(t, e) {
		b.Delete([]byte(key))
	}
	require.NoError(t, e.Commit(&b))
}
