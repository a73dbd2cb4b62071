package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/harkbus/pubsub/cmd/hark/internal/demo"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/sim"
)

var duoQuery = query.MustParse("transfer.amount > 20000000")

// A duo shows two processes of this command on one bus, through a Redis server
// that is embedded in this one:
//
//	hark demo --bridge ── simulated chain ─▶ hark pub ─▶ Redis ─▶ hark sub ─▶ each line, here
//
// Half way through, the server refuses everything for a moment. Nothing is lost.
type duo struct {
	demo.Options
	start time.Time
	redis *miniredis.Miniredis

	mu        sync.Mutex
	out       io.Writer
	err       error // of writing to out
	published int
	matching  int // of them, those that match
	received  int
	changed   chan struct{} // closed and replaced when received changes
}

// duo runs the demonstration of two processes.
func (a *app) duo(ctx context.Context, o demo.Options) error {
	d := &duo{Options: o, start: time.Now(), redis: miniredis.NewMiniRedis(), out: a.out, changed: make(chan struct{})}
	if err := d.redis.Start(); err != nil {
		return err
	}
	defer d.redis.Close()
	err := d.run(ctx)
	if isClosed(d.err) {
		return nil
	}
	return errors.Join(err, d.err)
}

func (d *duo) run(ctx context.Context) error {
	living, kill := context.WithCancel(context.Background())
	defer kill()
	sub, err := d.child(living, "sub", duoQuery.String())
	if err != nil {
		return err
	}
	defer func() { kill(); _ = sub.Wait() }()
	pub, err := d.child(living, "pub")
	if err != nil {
		return err
	}
	d.say("a Redis server in this process, at %s", d.redis.Addr())
	d.say("process %d publishes a simulated chain: hark pub", pub.Process.Pid)
	d.say(`process %d subscribes: hark sub "%s"`, sub.Process.Pid, duoQuery)
	go d.show(sub.out)
	select {
	case <-sub.ready:
	case <-ctx.Done():
		return nil
	}
	if err := d.play(ctx, pub.in); err != nil {
		return err
	}
	if err := errors.Join(pub.in.Close(), pub.Wait()); err != nil {
		return err
	}
	return d.finish()
}

// A child is another process of this command.
type child struct {
	*exec.Cmd
	in    io.WriteCloser
	out   io.Reader
	ready chan struct{} // closed when it says so
	once  sync.Once
}

// child starts this command once more. The process ends with ctx.
func (d *duo) child(ctx context.Context, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{Cmd: exec.CommandContext(ctx, self, args...), ready: make(chan struct{})}
	c.Args[0] = os.Args[0]
	c.Env = append(c.Environ(), "HARK_REDIS=redis://"+d.redis.Addr())
	c.Stderr = c
	if c.in, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	if c.out, err = c.StdoutPipe(); err != nil {
		return nil, err
	}
	return c, c.Start()
}

// Write takes what the process says on standard error.
func (c *child) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "ready") {
		c.once.Do(func() { close(c.ready) })
	}
	return len(b), nil
}

func (d *duo) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := fmt.Fprintf(d.out, "%5.1f s  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
	d.err = errors.Join(d.err, err)
}

// play publishes the chain until the time is over, and takes Redis away half
// way through.
func (d *duo) play(ctx context.Context, pub io.Writer) error {
	if d.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Duration)
		defer cancel()
		var outage sync.WaitGroup
		defer outage.Wait()
		outage.Go(func() { d.interruptRedis(ctx) })
	}
	lines := bufio.NewWriter(pub)
	err := sim.New(sim.Config{Seed: d.Seed}).Publish(ctx, d.Rate, func(_ context.Context, data any, events map[string][]string) error {
		line, err := json.Marshal(map[string]any{"data": data, "events": events})
		if err != nil {
			return err
		}
		d.mu.Lock()
		d.published++
		if matches, _ := duoQuery.Matches(events); matches {
			d.matching++
		}
		err = d.err
		d.mu.Unlock()
		_, _ = lines.Write(append(line, '\n'))
		return errors.Join(err, lines.Flush())
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// interruptRedis waits for half of the time and then has the server answer as one does that was restarted and still
// loads its data.
func (d *duo) interruptRedis(ctx context.Context) {
	select {
	case <-time.After(d.Duration / 2):
	case <-ctx.Done():
		return
	}
	d.say("Redis refuses everything; both processes try again")
	d.redis.SetError("LOADING Redis is loading the dataset in memory")
	time.Sleep(500 * time.Millisecond)
	d.redis.SetError("")
	d.say("Redis is back")
}

// show prints what the subscriber received, in short.
func (d *duo) show(lines io.Reader) {
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var line struct{ Events map[string][]string }
		if json.Unmarshal(scanner.Bytes(), &line) != nil {
			continue
		}
		d.say("received  height %s  %s", first(line.Events["tx.height"]), strings.Join(line.Events["transfer.amount"], ", "))
		d.mu.Lock()
		d.received++
		close(d.changed)
		d.changed = make(chan struct{})
		d.mu.Unlock()
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return "?"
	}
	return values[0]
}

// finish waits for the last line and says how many there were.
func (d *duo) finish() error {
	timeout := time.After(10 * time.Second)
	for {
		d.mu.Lock()
		published, matching, received, changed := d.published, d.matching, d.received, d.changed
		d.mu.Unlock()
		if received >= matching {
			d.say("published %d, of which %d match; received %d, lost none", published, matching, received)
			return nil
		}
		select {
		case <-changed:
		case <-timeout:
			return fmt.Errorf("%d of %d lines did not arrive", matching-received, matching)
		}
	}
}
