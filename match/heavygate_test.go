//go:build !race

package match

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

func TestHeavyValuesTakeNoMemory(t *testing.T) {
	x := New[int]()
	for i, text := range []string{"k = 5 AND l = 1", "k != 7 AND l = 1", "k >= 7 AND l = 1", "k = 'a' AND l = 1", "k < DATE 2013-05-03 AND l = 1"} {
		for j := range 10 {
			x.Add(query.MustParse(text+fmt.Sprint(" AND NOT m = ", j)), i)
		}
	}
	event := map[string][]string{"l": {"1"}, "k": nil}
	for i := range 1000 {
		event["k"] = append(event["k"], fmt.Sprint(i))
	}
	found := x.Match(event, nil)
	require.Zero(t, testing.AllocsPerRun(20, func() { found = x.Match(event, found[:0]) }))
}
