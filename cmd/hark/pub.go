package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
	"github.com/harkbus/pubsub/redisbridge"
)

const pubLong = `Pub reads publications, one JSON object a line, from files or standard input, as
match does, and publishes them to all processes that are joined to the same
namespace of a Redis: to hark sub, and to programs with a bridge.

    {"events":{"tm.event":["Tx"],"transfer.amount":["5uatom"]},"data":…}

It reads as fast as Redis takes what it sends, and ends when Redis has all of
it. An interrupt ends the reading. While Redis cannot be reached it tries again,
for ever or until --give-up-after. It ends at once if the namespace has another
number of partitions.

The exit status is 0 if all was published, 1 if a line was skipped or something
was lost, and 2 if the command was wrong or gave up.

With --url it publishes to what hark serve offers, in the same way. What was
sent when the connection broke is sent again, and may come twice.
` + redisHelp

func (a *app) newPub() *cobra.Command {
	var redis redisFlags
	route, url := "", ""
	c := &cobra.Command{
		Use:   "pub [flags] [FILE...]",
		Short: "Publish events to other processes, through Redis",
		Long:  pubLong,
		Example: `  hark pub --redis redis://localhost:6379 events.jsonl
  tail -f events.jsonl | HARK_REDIS=redis://:secret@db hark pub --mode live`,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, files []string) error {
			if url != "" {
				if err := onlyForRedis(c.Flags()); err != nil {
					return err
				}
				return a.pubURL(url, redis.giveUpAfter, files)
			}
			o, err := redis.options()
			if err != nil {
				return err
			}
			if route == "" && o.Partitions > 1 {
				return errors.New("--route is needed with --partitions: the key whose value keeps publications in order")
			}
			o.Route = func(m pubsub.Message) string { return firstValue(m, route) }
			return a.pub(&redis, o, files)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&url, "url", "", "`URL` of a server's WebSocket, ws://localhost:26657/websocket, instead of Redis")
	redis.addTo(c)
	flags.StringVar(&route, "route", "", "with several partitions: the `KEY` of the attribute that says which")
	return c
}

func firstValue(m pubsub.Message, key string) string {
	for v := range m.Values(key) {
		return v
	}
	return ""
}

// pub publishes the files, or standard input if there are none.
func (a *app) pub(redis *redisFlags, o redisbridge.Options, files []string) error {
	o.SendOnly, o.OnError = true, a.reportErrors()
	o.CloseTimeout = time.Second // what must be sent is flushed before
	bridge, detach, err := attach(o)
	if err != nil {
		return err
	}
	ctx, release := interruptible()
	defer release()
	p := &publisher{app: a, bridge: bridge}
	p.trying, p.stop = redis.whileIn(context.Background(), bridge)
	defer p.stop()
	reading, end := context.WithCancelCause(ctx)
	defer context.AfterFunc(p.trying, func() { end(context.Cause(p.trying)) })()
	if len(files) == 0 {
		files = []string{standardInput}
	}
	progress := startProgress(a.err, p)
	err = p.run(reading, files)
	progress.stop()
	return p.status(errors.Join(err, detach()))
}

// A publisher publishes lines.
type publisher struct {
	*app
	bridge  *redisbridge.Bridge
	trying  context.Context // ends when we give up, or the bridge has ended
	stop    context.CancelFunc
	decoder feed.Decoder
	skipped int // lines
}

// run publishes until the files or ctx end, and flushes.
func (p *publisher) run(ctx context.Context, files []string) error {
	for _, name := range files {
		err := p.file(ctx, name)
		if errors.Is(err, errInterrupted) {
			break
		}
		if err != nil {
			return err
		}
	}
	return p.gaveUpOr(p.bridge.Flush(p.trying))
}

// gaveUpOr returns why p gave up, if it did.
func (p *publisher) gaveUpOr(err error) error {
	if err != nil && p.trying.Err() != nil {
		return context.Cause(p.trying)
	}
	return err
}

func (p *publisher) file(ctx context.Context, name string) error {
	return p.eachLine(ctx, name, func(item readResult, _ bool) error { return p.take(name, item) })
}

// eachLine reads a file until it ends, or ctx, or take fails. It says whether
// nothing more can be read at once.
func (a *app) eachLine(ctx context.Context, name string, take func(item readResult, idle bool) error) error {
	in, err := openInput(name, a.in)
	if err != nil {
		return err
	}
	defer in.Close()
	lines := readLines(ctx, in)
	for {
		select {
		case item, more := <-lines:
			if !more {
				return nil
			}
			if err := take(item, len(lines) == 0); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *publisher) take(name string, item readResult) error {
	if item.err != nil {
		p.skip(name, item.line.Number, item.err)
		return nil
	}
	return p.line(name, item.line)
}

// readResult is a line, or why one could not be read.
type readResult struct {
	line feed.Line
	err  error
}

// openInput opens a file, or returns what stands for standard input, which stays
// open.
func openInput(name string, standard io.Reader) (io.ReadCloser, error) {
	if name == standardInput {
		return io.NopCloser(standard), nil
	}
	return os.Open(name)
}

// readLines reads on a goroutine of its own, because reading a terminal or a
// pipe cannot be interrupted. That goroutine ends with the input or, at the
// latest, with the process.
func readLines(ctx context.Context, in io.Reader) <-chan readResult {
	out := make(chan readResult, 64)
	go func() {
		defer close(out)
		lines := feed.NewLines(in)
		for {
			line, err := lines.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			line.Text = bytes.Clone(line.Text)
			select {
			case out <- readResult{line, err}:
			case <-ctx.Done():
				return
			}
			if err != nil && !errors.Is(err, feed.ErrTooLong) {
				return
			}
		}
	}()
	return out
}

// line publishes what a line holds: one publication, or several of a block.
func (p *publisher) line(name string, line feed.Line) error {
	publications, err := p.decoder.Decode(line.Text)
	if err != nil {
		p.skip(name, line.Number, err)
		return nil
	}
	for publication := range publications {
		text, err := publication.AppendLine(nil, line.Text)
		if err == nil {
			err = p.publish(text, publication.Events)
		}
		switch {
		case err == nil:
		case p.trying.Err() != nil, p.bridge.Err() != nil:
			return p.gaveUpOr(err)
		default:
			p.skip(name, line.Number, err)
		}
	}
	return nil
}

// publish hands over a copy of the events, which the decoder uses again.
func (p *publisher) publish(text []byte, events map[string][]string) error {
	data, err := dataOf(text)
	if err != nil {
		return err
	}
	own := make(map[string][]string, len(events))
	for key, values := range events {
		own[key] = slices.Clone(values)
	}
	return p.bridge.Publish(p.trying, data, own)
}

// dataOf returns the data of a line as it stands there, or nil. Only line feeds
// are taken out, of a document printed over several lines.
func dataOf(line []byte) (any, error) {
	var found struct {
		Data   json.RawMessage `json:"data"`
		Result struct {
			Data json.RawMessage `json:"data"`
		} `json:"result"`
	}
	if err := json.Unmarshal(line, &found); err != nil {
		return nil, err
	}
	data := found.Data
	if data == nil {
		data = found.Result.Data
	}
	if data == nil {
		return nil, nil
	}
	if bytes.ContainsAny(data, "\r\n") {
		var compact bytes.Buffer
		if err := json.Compact(&compact, data); err != nil {
			return nil, err
		}
		data = compact.Bytes()
	}
	return data, nil
}

func (p *publisher) skip(name string, number int, err error) {
	p.skipped++
	p.log.Error("skipped", "file", name, "line", number, "error", err)
}

// status returns the exit status.
func (p *publisher) status(err error) error {
	s := p.bridge.Stats()
	switch {
	case err != nil:
		return err
	case p.skipped > 0 || s.Dropped > 0 || s.Unencodable > 0:
		return incomplete
	}
	return nil
}

// progress shows on a terminal how far a publisher has come.
type progress struct{ end, ended chan struct{} }

func startProgress(w io.Writer, p *publisher) progress {
	g := progress{make(chan struct{}), make(chan struct{})}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		close(g.ended)
		return g
	}
	go func() {
		defer close(g.ended)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		began := time.Now()
		for {
			select {
			case <-ticker.C:
				showProgress(w, p.bridge.Stats(), time.Since(began))
			case <-g.end:
				showProgress(w, p.bridge.Stats(), time.Since(began))
				fmt.Fprintln(w)
				return
			}
		}
	}()
	return g
}

func showProgress(w io.Writer, s redisbridge.Stats, since time.Duration) {
	state := ""
	if !s.Connected {
		state = "  waiting for Redis"
	}
	fmt.Fprintf(w, "\r\x1b[K%d published  %d acknowledged  %.0f/s%s", s.Accepted, s.SentEvents, float64(s.SentEvents)/since.Seconds(), state)
}

func (g progress) stop() {
	close(g.end)
	<-g.ended
}
