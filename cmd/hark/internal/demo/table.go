package demo

import (
	"fmt"
	"strings"

	"github.com/harkbus/pubsub"
)

// A line of a terminal.
type line struct {
	text  string
	style style
}

// A style is an escape sequence that begins it, or "" for none.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	dim    style = "\x1b[2m"
	red    style = "\x1b[31m"
	yellow style = "\x1b[33m"
	reset        = "\x1b[0m"
)

// Widths of the columns; what is left is the query's.
const (
	nameWidth    = 10
	matchedWidth = 9
	rateWidth    = 8
	bufferWidth  = 6
	fullWidth    = 12
	leastQuery   = 20
)

// table lays a view out for a terminal of the given width.
func table(v View, width int) []line {
	lines := []line{
		{"hark demo   a chain publishes, each subscriber receives what its query matches", bold},
		{"", plain},
		{progress(v), plain},
		{"", plain},
		{columns("SUBSCRIBER", "QUERY", "MATCHED", "RATE", "BUFFER", "WHEN FULL", width), dim},
	}
	for _, r := range v.Rows {
		lines = append(lines, rowLine(r, width))
	}
	lines = append(lines, line{"", plain}, line{totals(v), plain}, line{"", plain})
	for _, e := range v.News {
		lines = append(lines, line{newsLine(e), dim})
	}
	return lines
}

func columns(name, query, matched, rate, buffer, full string, width int) string {
	queryWidth := max(leastQuery, width-nameWidth-matchedWidth-rateWidth-bufferWidth-fullWidth-8)
	return fmt.Sprintf("%s %s %*s %*s  %s  %s", fit(name, nameWidth), fit(query, queryWidth),
		matchedWidth, matched, rateWidth, rate, fit(buffer, bufferWidth), fit(full, fullWidth))
}

func rowLine(r Row, width int) line {
	matched := grouped(r.Matched)
	if r.Cut != "" {
		return line{columns(r.Name, r.Query, matched, "", "CUT", r.Overflow.String(), width), red}
	}
	full, style := r.Overflow.String(), plain
	if r.Overflow == pubsub.DropOldest {
		full, style = "drops "+grouped(r.Dropped), yellow
	}
	buffer := bar(float64(r.Depth), float64(r.Capacity), bufferWidth)
	return line{columns(r.Name, r.Query, matched, perSecond(r.Rate), buffer, full, width), style}
}

func progress(v View) string {
	chain := fmt.Sprintf("block %s, %s publications (%s)", grouped(uint64(v.Height)), grouped(v.Published), perSecond(v.Rate))
	if v.Duration == 0 {
		return fmt.Sprintf("%s   %s", seconds(v.Elapsed), chain)
	}
	return fmt.Sprintf("%s  %s of %s   %s", bar(v.Elapsed.Seconds(), v.Duration.Seconds(), 20),
		seconds(min(v.Elapsed, v.Duration)), seconds(v.Duration), chain)
}

func totals(v View) string {
	return strings.Join([]string{
		"matched " + grouped(v.Matched),
		"delivered " + grouped(v.Delivered),
		"dropped " + grouped(v.Dropped),
		"latency p50 " + short(v.P50) + " p99 " + short(v.P99),
	}, "  ")
}

func newsLine(e Event) string { return fmt.Sprintf("%7s  %s", seconds(e.At), e.Text) }
