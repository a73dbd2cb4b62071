package load

import (
	"fmt"
	"io"
	"time"

	"github.com/harkbus/pubsub/cmd/hark/internal/figure"
)

// A progress is a Display on a terminal: one line that is written over.
type progress struct {
	w    io.Writer
	next time.Time // when to write again
}

// Progress returns a display for a terminal.
func Progress(w io.Writer) Display { return &progress{w: w} }

func (p *progress) Show(phase string, part float64, detail string) {
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(50 * time.Millisecond)
		part = min(part, 1)
		fmt.Fprintf(p.w, "\r%-11s %s %3.0f %% %-14s", phase, figure.Bar(part, 1, 40), 100*part, detail)
	}
}

func (p *progress) Done() { fmt.Fprint(p.w, "\r\x1b[K") }

// Quiet returns a display that shows nothing.
func Quiet() Display { return quiet{} }

type quiet struct{}

func (quiet) Show(string, float64, string) {}
func (quiet) Done()                        {}
