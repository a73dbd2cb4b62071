package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
)

// A log shows a line every second, and what happens when it does.
type log struct {
	w    io.Writer
	next time.Duration // when the next line is due
	told int           // news so far
}

// Plain returns a display for what is no terminal.
func Plain(w io.Writer) Display { return &log{w: w, next: time.Second} }

func (l *log) Show(v View) error {
	var text strings.Builder
	for _, e := range v.News[l.told:] {
		fmt.Fprintln(&text, newsLine(e))
	}
	l.told = len(v.News)
	if v.Elapsed >= l.next {
		l.next += time.Second
		text.WriteString(secondLine(v))
	}
	_, err := io.WriteString(l.w, text.String())
	return err
}

func (l *log) Close(v View) error {
	_, err := io.WriteString(l.w, "\n"+summary(v))
	return err
}

// secondLine is the table in one line.
func secondLine(v View) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%7s  published %s (%s)", figure.Seconds(v.Elapsed), figure.Grouped(v.Published), figure.PerSecond(v.Rate))
	for _, r := range v.Rows {
		switch {
		case r.Cut != "":
			fmt.Fprintf(&text, "  %s %s cut", r.Name, figure.Grouped(r.Matched))
		case r.Dropped > 0:
			fmt.Fprintf(&text, "  %s %s (%s, %s dropped)", r.Name, figure.Grouped(r.Matched), figure.PerSecond(r.Rate), figure.Grouped(r.Dropped))
		default:
			fmt.Fprintf(&text, "  %s %s (%s)", r.Name, figure.Grouped(r.Matched), figure.PerSecond(r.Rate))
		}
	}
	return text.String() + "\n"
}
