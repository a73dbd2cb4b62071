package cities

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Quamina, Hark that stops early and Hark that does not find the same matches in
// every line, as many as quamina's own test.
func TestBothFindTheMatchesOfQuaminasTest(t *testing.T) {
	type rival struct {
		name   string
		find   Matcher
		counts []int
	}
	contests := map[string]map[string][]rival{}
	for _, c := range Classes {
		theirs, err := c.Quamina()
		require.NoError(t, err)
		if contests[c.File] == nil {
			contests[c.File] = map[string][]rival{}
		}
		n := len(c.Rules)
		contests[c.File][c.Name] = []rival{
			{"quamina", theirs, make([]int, n)},
			{"hark", c.Hark(false), make([]int, n)},
			{"hark, stopping early", c.Hark(true), make([]int, n)},
		}
	}
	for file, classes := range contests {
		require.NoError(t, Each(file, func(line []byte) error {
			for _, rivals := range classes {
				for _, r := range rivals {
					found, err := r.find(line)
					if err != nil {
						return err
					}
					for _, rule := range found {
						r.counts[rule]++
					}
				}
			}
			return nil
		}))
	}
	for _, c := range Classes {
		want := make([]int, len(c.Rules))
		for i, rule := range c.Rules {
			want[i] = rule.Matches
		}
		for _, r := range contests[c.File][c.Name] {
			assert.Equal(t, want, r.counts, "%s, %s", c.Name, r.name)
		}
	}
}
