//go:build !race

package jsonevents_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/jsonevents"
	"github.com/harkbus/pubsub/query"
)

// The strings of a document are one.
func TestADocumentTakesOneAllocation(t *testing.T) {
	doc := []byte(`{"level":"error","http":{"status":502,"tags":["a","b\n"]},"user":null,"\u0061":[{"b":1},{"b":2}]}`)
	for _, keys := range []*jsonevents.Keys{nil, jsonevents.KeysOf(query.MustParse("http.tags = 'a' AND a.b = 2 AND http EXISTS"))} {
		f := jsonevents.Flattener{Keys: keys}
		allocations := testing.AllocsPerRun(100, func() {
			if _, err := f.Flatten(doc); err != nil {
				t.Fatal(err)
			}
		})
		require.LessOrEqual(t, allocations, 1.0)
	}
}
