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

func (s *Section) lines() [][]string {
	lines := [][]string{heading}
	for i := range s.Rows {
		lines = append(lines, s.Rows[i].cells())
	}
	return lines
}

// WriteText writes the tables for a terminal.
func (r *Report) WriteText(w io.Writer) {
	for i := range r.Sections {
		if i > 0 {
			fmt.Fprintln(w)
		}
		r.Sections[i].writeText(w)
	}
}

func (s *Section) writeText(w io.Writer) {
	lines := s.lines()
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
	for _, a := range s.Spreads {
		fmt.Fprintf(w, "A/A %s: %.2f between minima, p95 %.2f between samples\n", a.What, a.Min, a.P95)
	}
}

// WriteMarkdown writes the table for a document.
func (s *Section) WriteMarkdown(w io.Writer) {
	for i, line := range s.lines() {
		fmt.Fprintf(w, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			fmt.Fprintln(w, strings.Repeat("|---", len(heading))+"|")
		}
	}
	fmt.Fprintln(w)
	for _, a := range s.Spreads {
		fmt.Fprintf(w, "- A/A, %s: %.2f between minima, p95 %.2f between samples\n", a.What, a.Min, a.P95)
	}
}
