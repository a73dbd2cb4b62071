package bars

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

var heading = []string{"bar", "gate", "goal", "measured", "medians", "", "of minima"}

func (r *Row) cells() []string {
	measured, median := Figure(r.Measured), ""
	if r.Skipped {
		measured = ""
	}
	if r.Median != 0 {
		median = Figure(r.Median)
	}
	return []string{r.What, r.Gate, r.Goal.String(), measured, median, r.Verdict(), r.Detail}
}

func (r *Report) lines() [][]string {
	lines := [][]string{heading}
	for i := range r.Rows {
		lines = append(lines, r.Rows[i].cells())
	}
	return lines
}

// WriteText writes the table for a terminal.
func (r *Report) WriteText(w io.Writer) {
	lines := r.lines()
	widths := make([]int, len(heading))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	for _, s := range r.Spreads {
		fmt.Fprintf(w, "A/A %s: %.2f between minima, p95 %.2f between samples\n", s.What, s.Min, s.P95)
	}
}

// WriteMarkdown writes the table for a document.
func (r *Report) WriteMarkdown(w io.Writer) {
	for i, line := range r.lines() {
		fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			fmt.Fprintln(w, strings.Repeat("|---", len(heading))+"|")
		}
	}
	fmt.Fprintln(w)
	for _, s := range r.Spreads {
		fmt.Fprintf(w, "- A/A, %s: %.2f between minima, p95 %.2f between samples\n", s.What, s.Min, s.P95)
	}
}
