package match_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// The expressions here would run for minutes.
func TestFindRunsNoRegularExpression(t *testing.T) {
	limits := query.Limits{Length: 1 << 20, Regexp: 1 << 20}
	events := map[string][]string{"m": {strings.Repeat("x", 1<<20)}, "tm.event": {"Tx"}}
	for _, queries := range []int{2, 40} { // tried one by one, and found
		t.Run(fmt.Sprint(queries), func(t *testing.T) {
			x := match.New[string]()
			for i := range queries / 2 {
				q, err := limits.New(fmt.Sprintf("m MATCHES '(x{0,400}){0,%d}[yz]'", i%2+1))
				require.NoError(t, err)
				x.Add(q, "expression")
				x.Add(query.MustParse("tm.event = 'Tx'"), "plain")
			}
			start := time.Now()
			found, undecided := x.Find(events, nil, nil)
			require.Len(t, found, queries/2)
			require.Len(t, undecided, queries/2)
			require.NotContains(t, found, "expression")
			require.NotContains(t, undecided, "plain")

			var batch match.Batch[string]
			x.FindBatch([]map[string][]string{events, nil, events}, &batch)
			require.Equal(t, undecided, batch.Undecided(2))
			require.Empty(t, batch.Undecided(1))
			require.ElementsMatch(t, found, batch.Of(0))
			require.Less(t, time.Since(start), 10*time.Second)

			stats := x.Stats()
			require.EqualValues(t, 3*queries/2, stats.Matches)
			require.EqualValues(t, 3*queries/2, stats.Undecided)
			batch.Reset()
			require.Zero(t, batch.Len())
		})
	}
}

func TestFindDecidesWhatTakesNoRegularExpression(t *testing.T) {
	x := match.New[string]()
	for _, text := range []string{
		"tm.event = 'Tx' AND m MATCHES 'x+'", "tm.event = 'Tx' OR m MATCHES 'x+'", "m MATCHES 'x+' AND tm.event = 'Tx'",
		"a = 1", "a = 2", "a = 3", "a = 4", "a = 5", "a = 6",
	} {
		x.Add(query.MustParse(text), text)
	}
	found, undecided := x.Find(map[string][]string{"tm.event": {"Tx"}, "m": {"x"}}, nil, nil)
	require.Equal(t, []string{"tm.event = 'Tx' OR m MATCHES 'x+'"}, found)
	require.ElementsMatch(t, []string{"tm.event = 'Tx' AND m MATCHES 'x+'", "m MATCHES 'x+' AND tm.event = 'Tx'"}, undecided)
	found, undecided = x.Find(map[string][]string{"tm.event": {"Block"}}, nil, nil)
	require.Empty(t, found)
	require.Empty(t, undecided)
}
