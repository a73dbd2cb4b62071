package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
	"github.com/harkbus/pubsub/stream"
)

// subURL is sub for a server.
func (a *app) subURL(options *subOptions, query string) error {
	from, err := options.cursor()
	if err != nil {
		return err
	}
	ctx, release := interruptible()
	defer release()
	client, err := stream.Dial(ctx, options.url, stream.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	p := &urlPrinter{app: a, left: options.count, endless: options.count == 0, fromStart: options.from == "start", out: bufio.NewWriterSize(a.out, outputSize)}
	err = p.run(client.Subscribe(ctx, query, stream.SubscribeOptions{After: from, Accepted: func() { fmt.Fprintln(a.err, "ready") }}))
	if flushed := p.out.Flush(); err == nil {
		err = flushed
	}
	switch {
	case isClosed(err) || errors.Is(err, context.Canceled):
		err = nil
	case err != nil:
		return err
	}
	if p.gaps > 0 {
		return incomplete
	}
	return err
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
		return stream.Cursor{}.String(), nil
	}
	if _, err := stream.ParseCursor(s.from); err != nil {
		return "", fmt.Errorf("--from is %q; it is now, start, or the cursor of a line", s.from)
	}
	return s.from, nil
}

// A urlPrinter prints what a client receives.
type urlPrinter struct {
	*app
	out       *bufio.Writer
	left      int // lines
	endless   bool
	fromStart bool // the first gap is what there was before
	gaps      int
}

func (p *urlPrinter) run(results func(yield func(stream.Result, error) bool)) (err error) {
	for result, failed := range results {
		if failed != nil {
			return failed
		}
		if result.Gap != nil {
			p.gap(result.Gap)
			continue
		}
		p.fromStart = false
		if err := p.print(result); err != nil {
			return err
		}
		if p.left--; p.left == 0 && !p.endless {
			return nil
		}
	}
	return nil
}

func (p *urlPrinter) gap(g *stream.Gap) {
	if p.fromStart {
		return
	}
	p.gaps++
	fmt.Fprintf(p.err, "hark: gap from %s to %s: %s\n", g.From, g.To, g.Reason)
}

// print prints one line, in the form of printer.print.
func (p *urlPrinter) print(r stream.Result) error {
	events, err := marshal(r.Events)
	if err != nil {
		return err
	}
	data := []byte(r.Data.Value)
	if r.Data.Type != stream.TypeJSON {
		if data, err = marshal(r.Data); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.out, `{"data":%s,"events":%s,"cursor":"%s"}`+"\n", data, events, r.Cursor)
	return p.out.Flush()
}

// pubURL is pub for a server.
func (a *app) pubURL(url string, files []string) error {
	ctx, release := interruptible()
	defer release()
	client, err := stream.Dial(ctx, url, stream.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	if len(files) == 0 {
		files = []string{standardInput}
	}
	p := &urlPublisher{app: a, client: client}
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
	client  *stream.Client
	decoder feed.Decoder
	skipped int // lines

	batch []stream.Publication
	bytes int
	lines []int // that the batch came from
}

// A batch is sent when it has so many publications or bytes, or nothing more
// can be read at once. The server's limit for a body is a megabyte.
const (
	batchCount = 256
	batchBytes = 256 << 10
)

func (p *urlPublisher) file(ctx context.Context, name string) error {
	in := p.in
	if name != standardInput {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	lines := readLines(ctx, in)
	for {
		select {
		case item, more := <-lines:
			if !more {
				return p.send(ctx, name)
			}
			if item.err != nil {
				p.skip(name, item.line.Number, item.err)
			} else {
				p.add(name, item.line)
			}
			if len(p.batch) >= batchCount || p.bytes >= batchBytes || len(lines) == 0 {
				if err := p.send(ctx, name); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add puts what a line holds into the batch.
func (p *urlPublisher) add(name string, line feed.Line) {
	publications, err := p.decoder.Decode(line.Text)
	if err != nil {
		p.skip(name, line.Number, err)
		return
	}
	for _, publication := range publications {
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
		events := stream.Events{}
		for key, values := range publication.Events {
			events[key] = append([]string{}, values...) // the decoder uses them again
		}
		p.batch = append(p.batch, stream.Publication{Data: raw, Events: events})
		p.lines = append(p.lines, line.Number)
		p.bytes += len(text)
	}
}

// send publishes the batch. What the server refuses is skipped.
func (p *urlPublisher) send(ctx context.Context, name string) error {
	for len(p.batch) > 0 {
		n, _, err := p.client.PublishAll(ctx, p.batch)
		p.batch, p.lines = p.batch[n:], p.lines[n:]
		refused, ok := errors.AsType[*stream.PublishError](err)
		switch {
		case err == nil:
		case ok && refused.Status < 500 && len(p.batch) > 0:
			p.skip(name, p.lines[0], err)
			p.batch, p.lines = p.batch[1:], p.lines[1:]
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return err
		}
	}
	p.batch, p.lines, p.bytes = p.batch[:0], p.lines[:0], 0
	return nil
}

func (p *urlPublisher) skip(name string, number int, err error) {
	p.skipped++
	p.log.Error("skipped", "file", name, "line", number, "error", err)
}
