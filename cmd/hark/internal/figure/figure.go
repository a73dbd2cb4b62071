// Package figure writes numbers, times and bars for people to read.
package figure

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Grouped writes a count with a comma between every three digits.
func Grouped(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// PerSecond writes a rate; below ten with one decimal.
func PerSecond(rate float64) string {
	if rate > 0 && rate < 9.95 {
		return fmt.Sprintf("%.1f/s", rate)
	}
	return Grouped(uint64(math.Round(rate))) + "/s"
}

// Seconds writes a duration in seconds with one decimal.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// Short writes a duration with two digits.
func Short(d time.Duration) string {
	unit := time.Duration(1)
	for unit*100 <= d {
		unit *= 10
	}
	return d.Round(unit).String()
}

// Fit cuts or pads text to a width in characters.
func Fit(text string, width int) string {
	n := utf8.RuneCountInString(text)
	if n <= width {
		return text + strings.Repeat(" ", width-n)
	}
	return string([]rune(text)[:max(width-1, 0)]) + "…"
}

// Bar draws how full something is, in blocks.
func Bar(part, whole float64, width int) string {
	full := width
	if whole > 0 {
		full = int(math.Ceil(min(part/whole, 1) * float64(width)))
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
