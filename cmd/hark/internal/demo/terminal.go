package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
)

// A terminal shows a table and draws it anew in its place.
type terminal struct {
	w     io.Writer
	size  func() (width, height int)
	color bool
	drawn int // lines
}

// Terminal returns a display for a terminal, whose size may change.
func Terminal(w io.Writer, color bool, size func() (width, height int)) Display {
	return &terminal{w: w, size: size, color: color}
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearRight = "\x1b[K"
	clearBelow = "\x1b[J"
)

// Show writes the frame at once, so that it does not flicker. What does not
// fit is cut off: a line that wraps or scrolls could not be drawn over.
func (t *terminal) Show(v View) error {
	width, height := t.size()
	lines := table(v, width)
	lines = lines[:min(len(lines), max(height-1, 1))]

	var frame strings.Builder
	frame.WriteString(hideCursor)
	if t.drawn > 0 {
		fmt.Fprintf(&frame, "\x1b[%dA\r", min(t.drawn, max(height-1, 1)))
	}
	for _, l := range lines {
		frame.WriteString(t.styled(l, width))
		frame.WriteString(clearRight + "\n")
	}
	frame.WriteString(clearBelow)
	t.drawn = len(lines)
	_, err := io.WriteString(t.w, frame.String())
	return err
}

func (t *terminal) styled(l line, width int) string {
	text := strings.TrimRight(figure.Fit(l.text, width), " ")
	if !t.color || l.style == plain {
		return text
	}
	return string(l.style) + text + reset
}

// Close leaves the table where it is and writes the summary below.
func (t *terminal) Close(v View) error {
	_, err := io.WriteString(t.w, showCursor+"\n"+summary(v))
	return err
}
