package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/redisbridge"
)

const subLong = `Sub prints what other processes publish in a namespace of a Redis and the query
matches, one JSON object a line:

    {"data":…,"events":{"tm.event":["Tx"]},"cursor":"1767323045000123@1767323045000-42"}

Data that is JSON stands there byte for byte. --from says where to begin: now,
which is fixed once, at the first connection; start, with the oldest that Redis
has; or after the cursor of a line that was printed. Now is all there is with
--mode live, whose lines have no cursor.

Standard error tells "ready" once nothing more would be missed, and every gap:
publications that are missing, how many, and why. A reader that is paused stops
reading from Redis; with --mode live it misses what does not fit its buffers.

The exit status is 0 after --count lines or an interrupt, 1 if there was a gap,
and 2 if the command was wrong or gave up.

With --url it does the same with what hark serve offers.
` + redisHelp

// subOptions are the flags of sub.
type subOptions struct {
	redis redisFlags
	count int
	from  string
	url   string
}

func (a *app) newSub() *cobra.Command {
	var options subOptions
	c := &cobra.Command{
		Use:   "sub [flags] QUERY",
		Short: "Print the events of other processes that match a query, through Redis",
		Long:  subLong,
		Example: `  hark sub --redis redis://localhost:6379 "transfer.amount > 1000"
  hark sub --from start --count 10 "tm.event = 'Tx'"
  hark sub --url ws://localhost:26657/websocket "tm.event = 'Tx'"`,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("sub needs one query (see hark sub --help)")
			}
			q, err := query.New(args[0])
			if err != nil {
				return err
			}
			a.warnOfTextOrder([]namedQuery{{"", q}})
			if options.url != "" {
				if err := onlyForRedis(c.Flags()); err != nil {
					return err
				}
				return a.subURL(&options, args[0])
			}
			return a.sub(&options, q)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&options.url, "url", "", "`URL` of a server's WebSocket, ws://localhost:26657/websocket, instead of Redis")
	options.redis.addTo(c)
	flags.IntVar(&options.count, "count", 0, "end after `N` lines; 0 is never")
	flags.StringVar(&options.from, "from", "now", `"now", "start" or the CURSOR of a line`)
	complete(c, "from", "now", "start")
	return c
}

// options returns the options of the reader.
func (s *subOptions) options() (redisbridge.Options, error) {
	o, err := s.redis.options()
	if err != nil {
		return o, err
	}
	if s.count < 0 {
		return o, fmt.Errorf("--count is %d; it is a number of lines, or 0", s.count)
	}
	if s.from != "now" && o.Mode == redisbridge.Live {
		return o, errors.New("--from is for --mode durable: Pub/Sub keeps nothing")
	}
	switch s.from {
	case "now":
	case "start":
		o.From = redisbridge.FromFirst()
	default:
		c, err := redisbridge.ParseCursor(s.from)
		if err != nil || c.IsZero() {
			return o, fmt.Errorf("--from is %q; it is now, start, or the cursor of a line", s.from)
		}
		o.From = redisbridge.FromCursor(c)
	}
	return o, nil
}

// sub prints what matches until there is enough.
func (a *app) sub(options *subOptions, q *query.Query) error {
	o, err := options.options()
	if err != nil {
		return err
	}
	o.OnError = a.reportErrors()
	reader, err := redisbridge.NewReader(o, q)
	if err != nil {
		return err
	}
	interrupted, release := interruptible()
	defer release()
	ctx, stop := options.redis.whileIn(interrupted, reader)
	defer stop()
	go func() {
		if reader.Ready(ctx) == nil {
			fmt.Fprintln(a.err, "ready")
		}
	}()

	p := &printer{app: a, reader: reader, left: options.count, endless: options.count == 0, out: bufio.NewWriterSize(a.out, outputSize)}
	err = p.run(ctx)
	if flushed := p.out.Flush(); err == nil {
		err = flushed
	}
	if closed := reader.Close(); err == nil {
		err = closed
	}
	switch {
	case isClosed(err) || errors.Is(err, errInterrupted):
		err = nil
	case err != nil:
		return err
	}
	if p.gaps > 0 {
		return incomplete
	}
	return err
}

// A printer prints what a reader reads.
type printer struct {
	*app
	reader  *redisbridge.Reader
	out     *bufio.Writer
	left    int // lines
	endless bool
	gaps    int
}

func (p *printer) run(ctx context.Context) error {
	for next, err := range p.reader.All(ctx) {
		if err != nil {
			return err
		}
		if next.Gap != nil {
			p.gaps++
			fmt.Fprintln(p.err, "hark:", next.Gap)
			continue
		}
		if err := p.print(&next); err != nil {
			return err
		}
		if p.left--; p.left == 0 && !p.endless {
			return nil
		}
		if p.reader.Buffered() == 0 {
			if err := p.out.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// print prints one line. encoding/json would compact the data and sort
// nothing but keys, so the line is put together here.
func (p *printer) print(r *redisbridge.Received) error {
	events, err := marshal(r.Events)
	if err != nil {
		return err
	}
	data, err := dataText(r.Data)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, `{"data":%s,"events":%s`, data, events)
	if c := p.reader.Cursor(); !c.IsZero() {
		fmt.Fprintf(p.out, `,"cursor":"%s"`, c)
	}
	_, err = p.out.WriteString("}\n")
	return err
}

// dataText returns data as JSON, as it is if it is JSON.
func dataText(data any) ([]byte, error) {
	var text []byte
	switch d := data.(type) {
	case json.RawMessage:
		text = d
	case codec.Raw:
		text = d.Data
		if d.Encoding != codec.EncodingJSON {
			return marshal(d.Data)
		}
	default:
		return marshal(data)
	}
	if !json.Valid(text) || bytes.ContainsAny(text, "\r\n") {
		return marshal(text)
	}
	return text, nil
}

// marshal is json.Marshal without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
