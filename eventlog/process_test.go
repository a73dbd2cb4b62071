package eventlog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/eventlog"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/store/tmdb"
)

// The tests start this program again as one that writes to a log until it is
// killed.
const variable = "HARK_EVENTLOG_TEST" // way of writing:directory

var ways = map[string]func(*eventlog.Log) error{"append": appendUntilKilled, "record": recordUntilKilled}

func TestMain(m *testing.M) {
	if way, dir, ok := strings.Cut(os.Getenv(variable), ":"); ok {
		if err := writeUntilKilled(dir, ways[way]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var small = tmdb.Options{Ballast: 4 << 10}

func writeUntilKilled(dir string, way func(*eventlog.Log) error) error {
	engine, err := small.Open(dir)
	if err != nil {
		return err
	}
	log, err := eventlog.Open(engine, eventlog.Options{})
	if err != nil {
		return err
	}
	go func() { // it ends with its standard input
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println("open")
	return way(log)
}

// appendUntilKilled prints the cursor and the number of what is on disk.
func appendUntilKilled(log *eventlog.Log) error {
	var all sync.WaitGroup
	var printing sync.Mutex
	for w := range 4 {
		all.Go(func() {
			for n := w; ; n += 4 {
				c, err := log.Append(context.Background(), publication(n), publication(n))
				if err != nil {
					return
				}
				printing.Lock()
				fmt.Println(c, n)
				printing.Unlock()
			}
		})
	}
	all.Wait()
	return errors.New("an append failed")
}

// recordUntilKilled prints the cursor and the number of the last publication that
// Flush covered.
func recordUntilKilled(log *eventlog.Log) error {
	bus := pubsub.NewServer()
	if err := bus.Start(); err != nil {
		return err
	}
	rec, err := log.Record(bus, eventlog.RecordOptions{})
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if _, err := bus.PublishWithArgs(context.Background(), publication(n)); err != nil {
			return err
		}
		if n%7 == 0 {
			if err := rec.Flush(context.Background()); err != nil {
				return err
			}
			fmt.Println(rec.History().Cursor(bus.Sequence()), n)
		}
	}
}

// kill starts a writer, kills it after so many acknowledgements, and returns all
// that it made.
func kill(t *testing.T, way, dir string, after int) (acked map[history.Cursor]int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+way+":"+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	acked = make(map[history.Cursor]int)
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	require.Equal(t, "open", lines.Text())
	for lines.Scan() {
		cursor, number, _ := strings.Cut(lines.Text(), " ")
		c, err := history.ParseCursor(cursor)
		require.NoError(t, err)
		acked[c], err = strconv.Atoi(number)
		require.NoError(t, err)
		if len(acked) == after {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	return acked
}

// What was acknowledged is there after kill -9, at its place, round after round in
// one log, and nothing is damaged.
func TestKilledProcessLosesNothing(t *testing.T) {
	for way := range ways {
		t.Run(way, func(t *testing.T) {
			dir := t.TempDir()
			all := make(map[history.Cursor]int)
			for round := range soak.Rounds(t, 25) {
				for c, n := range kill(t, way, dir, 1+rand.New(rand.NewPCG(round, 7)).IntN(60)) {
					all[c] = n
				}
				engine, err := small.Open(dir)
				require.NoError(t, err)
				log, err := eventlog.Open(engine, eventlog.Options{Strict: true})
				require.NoError(t, err)
				missing := len(all)
				var before history.Cursor
				for entry, err := range log.Read(history.Cursor{}) {
					require.NoError(t, err)
					require.True(t, before.Before(entry.Cursor))
					before = entry.Cursor
					if entry.Gap != nil {
						require.Equal(t, "record", way)
						require.Equal(t, history.Crash, entry.Gap.Reason)
						continue
					}
					if n, ok := all[entry.Cursor]; ok {
						missing--
						require.Equal(t, n, entry.Message.Data())
					}
				}
				require.Zero(t, missing)
				require.NoError(t, log.Close())
				require.NoError(t, engine.Close())
			}
		})
	}
}
