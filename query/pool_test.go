package query

// In package query, to look into the pool of parsers.

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// With one processor and no collection the pool gives back what was put in
// last. The race detector makes it forget one of four, so some are tried.
func TestParserOfALargeQueryIsNotKept(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const rounds = 10
	used := func(text string) *parser {
		_, _ = Limits{Length: 1 << 30}.New(text)
		return parsers.Get().(*parser)
	}
	for range rounds {
		p := used("a = '" + strings.Repeat("x", maxPooled/4) + "'")
		require.LessOrEqual(t, cap(p.text)+p.syntax.Size(), maxPooled)
	}
	kept := 0
	for range rounds {
		p := used("a = 1 AND (b = 2 OR c = 3)")
		if p.text != nil {
			kept++
		}
		require.Empty(t, p.stack)
		for _, left := range p.stack[:cap(p.stack)] {
			require.Zero(t, left, "it lets go of the tree")
		}
		require.Empty(t, p.syntax.Buffer, "it lets go of the text")
	}
	require.Positive(t, kept, "that of a small query is kept")
}
