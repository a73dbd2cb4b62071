package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/harkbus/pubsub/client"
	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/internal/backoff"
)

// subURL is sub for a server.
func (a *app) subURL(options *subOptions, query string) error {
	from, err := options.cursor()
	if err != nil {
		return err
	}
	ctx, release := interruptible()
	defer release()
	server, err := a.reach(ctx, options.url, options.redis.giveUpAfter)
	if err != nil {
		return unlessInterrupted(err)
	}
	defer server.Close()
	p := &urlPrinter{app: a, left: options.count, endless: options.count == 0, out: bufio.NewWriterSize(a.out, outputSize)}
	err = p.run(server.Subscribe(ctx, query, client.SubscribeOptions{After: from, Accepted: func() { fmt.Fprintln(a.err, "ready") }}))
	if flushed := p.out.Flush(); err == nil {
		err = flushed
	}
	switch {
	case err != nil && ctx.Err() == nil && !isClosed(err):
		return err
	case p.gaps > 0:
		return incomplete
	}
	return nil
}

func unlessInterrupted(err error) error {
	if errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

// reach connects to a server, which may be started later, and gives up when it
// could not be reached for longer than giveUpAfter, unless that is 0.
func (a *app) reach(ctx context.Context, url string, giveUpAfter time.Duration) (*client.Client, error) {
	if err := checkGiveUpAfter(giveUpAfter); err != nil {
		return nil, err
	}
	return client.Dial(ctx, url, client.Options{Wait: true, GiveUpAfter: giveUpAfter, OnConnection: func(err error) {
		if err != nil {
			a.log.Warn("trying again", "error", err)
		}
	}})
}

// cursor returns what --from stands for.
func (s *subOptions) cursor() (string, error) {
	if s.count < 0 {
		return "", fmt.Errorf("--count is %d; it is a number of lines, or 0", s.count)
	}
	switch s.from {
	case "now":
		return "", nil
	case "start":
		return history.Cursor{}.String(), nil
	}
	if _, err := history.ParseCursor(s.from); err != nil {
		return "", fmt.Errorf("--from is %q; it is now, start, or the cursor of a line", s.from)
	}
	return s.from, nil
}

// A urlPrinter prints what a client receives.
type urlPrinter struct {
	*app
	out     *bufio.Writer
	left    int // lines
	endless bool
	gaps    int
}

func (p *urlPrinter) run(results func(yield func(client.Result, error) bool)) (err error) {
	for result, failed := range results {
		if failed != nil {
			return failed
		}
		if result.Gap != nil {
			p.gap(result.Gap)
			continue
		}
		if err := p.print(result); err != nil {
			return err
		}
		if p.left--; p.left == 0 && !p.endless {
			return nil
		}
	}
	return nil
}

func (p *urlPrinter) gap(g *history.Gap) {
	if g.From == (history.Cursor{}) { // what there was before the start
		return
	}
	p.gaps++
	fmt.Fprintf(p.err, "hark: gap from %s to %s: %s\n", g.From, g.To, g.Reason)
}

// print prints one line, in the form of printer.print.
func (p *urlPrinter) print(r client.Result) error {
	events, err := marshal(r.Events)
	if err != nil {
		return err
	}
	data := []byte(r.Data.Value)
	if r.Data.Type != client.TypeJSON {
		if data, err = marshal(r.Data); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.out, `{"data":%s,"events":%s,"cursor":"%s"}`+"\n", data, events, r.Cursor)
	return p.out.Flush()
}

// pubURL is pub for a server.
func (a *app) pubURL(url string, giveUpAfter time.Duration, files []string) error {
	ctx, release := interruptible()
	defer release()
	if len(files) == 0 {
		files = []string{standardInput}
	}
	server, err := a.reach(ctx, url, giveUpAfter)
	if err != nil {
		return unlessInterrupted(err)
	}
	defer server.Close()
	p := &urlPublisher{app: a, server: server}
	for _, name := range files {
		if err := p.file(ctx, name); errors.Is(err, errInterrupted) {
			break
		} else if err != nil {
			return err
		}
	}
	if p.skipped > 0 {
		return incomplete
	}
	return nil
}

// A urlPublisher publishes lines to a server, several in one request.
type urlPublisher struct {
	*app
	server  *client.Client
	decoder feed.Decoder
	skipped int // lines

	batch []client.Publication
	bytes int
	lines []int // that the batch came from
}

// A batch is sent when it has so many publications or bytes, or nothing more
// can be read at once. The server's limit for a body is a megabyte.
const (
	batchCount = 256
	batchBytes = 256 << 10
)

// file publishes what a file holds. When ctx ends it still publishes what was
// read.
func (p *urlPublisher) file(ctx context.Context, name string) error {
	err := p.eachLine(ctx, name, func(item readResult, idle bool) error {
		if item.err != nil {
			p.skip(name, item.line.Number, item.err)
		} else if err := p.add(name, item.line); err != nil {
			return err
		}
		if idle {
			return p.send(name)
		}
		return nil
	})
	if err == nil || errors.Is(err, errInterrupted) {
		err = cmp.Or(p.send(name), err)
	}
	return err
}

// add puts what a line holds into the batch, and sends that as often as it is
// full.
func (p *urlPublisher) add(name string, line feed.Line) error {
	publications, err := p.decoder.Decode(line.Text)
	if err != nil {
		p.skip(name, line.Number, err)
		return nil
	}
	for publication := range publications {
		text, err := publication.AppendLine(nil, line.Text)
		var data any
		if err == nil {
			data, err = dataOf(text)
		}
		if err != nil {
			p.skip(name, line.Number, err)
			continue
		}
		raw, _ := data.(json.RawMessage)
		if raw == nil {
			raw = json.RawMessage("null")
		}
		events := map[string][]string{}
		for key, values := range publication.Events {
			events[key] = append([]string{}, values...) // the decoder uses them again
		}
		p.batch = append(p.batch, client.Publication{Data: raw, Events: events})
		p.lines = append(p.lines, line.Number)
		p.bytes += len(text)
		if len(p.batch) >= batchCount || p.bytes >= batchBytes {
			if err := p.send(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// send publishes the batch. What the server refuses is skipped; while it does
// not answer, or cannot take more, it is asked again.
func (p *urlPublisher) send(name string) error {
	together := batchCount
	for retry := backoff.New(minRetry, maxRetry); len(p.batch) > 0; {
		n, _, err := p.server.PublishAll(context.Background(), p.batch[:min(together, len(p.batch))])
		p.batch, p.lines = p.batch[n:], p.lines[n:]
		var refused *client.PublishError
		ok := errors.As(err, &refused)
		switch {
		case err == nil:
		case p.server.Error() != nil:
			return p.server.Error()
		case ok && refused.Status == http.StatusUnauthorized:
			return err
		case ok && refused.Status == http.StatusRequestEntityTooLarge && together > 1:
			together = 1 // to find out which of them is too large
		case ok && isFinal(refused.Status) && len(p.batch) > 0:
			p.skip(name, p.lines[0], err)
			p.batch, p.lines = p.batch[1:], p.lines[1:]
		default:
			p.log.Warn("trying again", "error", err)
			_ = retry.Wait(context.Background())
		}
	}
	p.batch, p.lines, p.bytes = p.batch[:0], p.lines[:0], 0
	return nil
}

// isFinal tells whether the server will not take either later what it has
// refused with a status.
func isFinal(status int) bool {
	return status < http.StatusInternalServerError && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}

// Delays before a batch is sent again.
const (
	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
)

func (p *urlPublisher) skip(name string, number int, err error) {
	p.skipped++
	p.log.Error("skipped", "file", name, "line", number, "error", err)
}
