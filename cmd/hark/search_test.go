package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
	"github.com/harkbus/pubsub/sim"
)

// chainLines is what a simulated chain publishes, as match reads it.
func chainLines(t testing.TB, n int) []byte {
	t.Helper()
	chain := sim.New(sim.Config{Seed: 1})
	var lines bytes.Buffer
	for range n {
		p := chain.Next()
		require.NoError(t, json.NewEncoder(&lines).Encode(map[string]any{"events": p.Events, "data": p.Data}))
	}
	return lines.Bytes()
}

// repeated reads text over and over, calling between each time.
type repeated struct {
	text    []byte
	rest    []byte
	times   int
	between func()
}

func (r *repeated) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.times == 0 {
			return 0, io.EOF
		}
		r.times--
		r.rest = r.text
		r.between()
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestMatchTakesConstantMemoryOnAStream(t *testing.T) {
	const times = 10
	lines := chainLines(t, 1000)
	var heaps []uint64
	stream := &repeated{text: lines, times: times, between: func() {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		heaps = append(heaps, stats.HeapAlloc)
	}}
	status := run([]string{"match", "tm.event = 'Tx' AND transfer.amount > 1000"}, stream, io.Discard, io.Discard)
	require.Zero(t, status)

	t.Logf("%d KB read", times*len(lines)>>10)
	early, late := heaps[1], heaps[len(heaps)-1]
	require.Less(t, late, early+256<<10, "the heap grows along the stream")
}

// A line beyond the limit is neither kept nor does it take the rest along, and
// the memory of a long line is given back.
func TestMatchGivesTheMemoryOfLongLinesBack(t *testing.T) {
	var heaps []uint64
	measure := func() {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		heaps = append(heaps, stats.HeapAlloc)
	}
	short := `{"events":{"a":["1"]}}` + "\n"
	long := strings.Repeat("x", feed.MaxLine)
	longValue := `{"events":{"a":["` + long[:4<<20] + `"]}}` + "\n"
	parts := []io.Reader{
		&repeated{text: []byte(short), times: 20_000, between: func() {}},
		&repeated{text: []byte("\n"), times: 1, between: measure},
		strings.NewReader(longValue),
		strings.NewReader(long + "y\n"),
		&repeated{text: []byte(short), times: 20_000, between: func() {}},
		&repeated{text: []byte("\n"), times: 1, between: measure},
	}
	var errOut bytes.Buffer
	status := run([]string{"match", "-c", "a EXISTS"}, io.MultiReader(parts...), io.Discard, &errOut)
	require.Equal(t, int(failed), status)
	require.Equal(t, "level=ERROR msg=\"line skipped\" file=- line=20003 error=\"feed: longer than 64 MiB\"\n", errOut.String())
	require.Less(t, heaps[1], heaps[0]+1<<20)
}

func TestAMatchShowsBeforeMoreIsRead(t *testing.T) {
	in, write := io.Pipe()
	read, out := io.Pipe()
	done := make(chan int)
	go func() {
		done <- run([]string{"match", "a = 1"}, in, out, io.Discard)
		out.Close()
	}()
	lines := bufio.NewScanner(read)
	for _, line := range []string{`{"events":{"a":["1"]},"data":1}`, `{"events":{"a":["1"]},"data":2}`} {
		_, err := io.WriteString(write, line+"\n")
		require.NoError(t, err)
		require.True(t, lines.Scan())
		require.Equal(t, line, lines.Text())
	}
	require.NoError(t, write.Close())
	require.Zero(t, <-done)
}

func TestMatchEndsQuietlyWhenNobodyReadsItsOutput(t *testing.T) {
	read, out := io.Pipe()
	require.NoError(t, read.Close())
	var errOut bytes.Buffer
	endless := &repeated{text: []byte(`{"events":{"a":["1"]}}` + "\n"), times: -1, between: func() {}}
	require.Zero(t, run([]string{"match", "a = 1"}, endless, out, &errOut))
	require.Empty(t, errOut.String())
}

// The command as a process of its own, since the signal ends it.
func TestMatchEndsQuietlyOnInterrupt(t *testing.T) {
	command := exec.Command("hark", "match", "a = 1") // which TestMain put into the path
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	require.NoError(t, command.Start())

	const line = `{"events":{"a":["1"]}}` + "\n"
	_, err = io.WriteString(stdin, line)
	require.NoError(t, err)
	got := make([]byte, len(line))
	_, err = io.ReadFull(stdout, got)
	require.NoError(t, err)
	require.Equal(t, line, string(got), "it is at work")

	require.NoError(t, command.Process.Signal(os.Interrupt))
	require.Error(t, command.Wait())
	require.Equal(t, syscall.SIGINT, command.ProcessState.Sys().(syscall.WaitStatus).Signal())
	require.Empty(t, stderr.String())
}

func BenchmarkMatch(b *testing.B) {
	lines := chainLines(b, 2000)
	for name, args := range map[string][]string{
		"one":   {"tm.event = 'Tx' AND transfer.amount > 1000"},
		"all":   {"tm.event EXISTS"},
		"three": {"-q", "a=tm.event = 'Tx'", "-q", "b=message.action CONTAINS 'Vote'", "-q", "c=tx.height > 5"},
	} {
		b.Run("queries="+name, func(b *testing.B) {
			b.SetBytes(int64(len(lines)))
			b.ReportAllocs()
			for b.Loop() {
				run(append([]string{"match"}, args...), bytes.NewReader(lines), io.Discard, io.Discard)
			}
		})
	}
}
