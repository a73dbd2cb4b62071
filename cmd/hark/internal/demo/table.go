package demo

import (
	"fmt"
	"strings"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
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
	return fmt.Sprintf("%s %s %*s %*s  %s  %s", figure.Fit(name, nameWidth), figure.Fit(query, queryWidth),
		matchedWidth, matched, rateWidth, rate, figure.Fit(buffer, bufferWidth), figure.Fit(full, fullWidth))
}

func rowLine(r Row, width int) line {
	matched := figure.Grouped(r.Matched)
	if r.Cut != "" {
		return line{columns(r.Name, r.Query, matched, "", "CUT", r.Overflow.String(), width), red}
	}
	full, style := r.Overflow.String(), plain
	if r.Overflow == pubsub.DropOldest {
		full, style = "drops "+figure.Grouped(r.Dropped), yellow
	}
	buffer := figure.Bar(float64(r.Depth), float64(r.Capacity), bufferWidth)
	return line{columns(r.Name, r.Query, matched, figure.PerSecond(r.Rate), buffer, full, width), style}
}

func progress(v View) string {
	chain := fmt.Sprintf("block %s, %s publications (%s)", figure.Grouped(uint64(v.Height)), figure.Grouped(v.Published), figure.PerSecond(v.Rate))
	if v.Duration == 0 {
		return fmt.Sprintf("%s   %s", figure.Seconds(v.Elapsed), chain)
	}
	return fmt.Sprintf("%s  %s of %s   %s", figure.Bar(v.Elapsed.Seconds(), v.Duration.Seconds(), 20),
		figure.Seconds(min(v.Elapsed, v.Duration)), figure.Seconds(v.Duration), chain)
}

func totals(v View) string {
	return strings.Join([]string{
		"matched " + figure.Grouped(v.Matched),
		"delivered " + figure.Grouped(v.Delivered),
		"dropped " + figure.Grouped(v.Dropped),
		"latency p50 " + figure.Short(v.P50) + " p99 " + figure.Short(v.P99),
	}, "  ")
}

func newsLine(e Event) string { return fmt.Sprintf("%7s  %s", figure.Seconds(e.At), e.Text) }
