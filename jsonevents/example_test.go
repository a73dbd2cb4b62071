package jsonevents_test

import (
	"fmt"

	"github.com/harkbus/pubsub/jsonevents"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

func ExampleFlatten() {
	events, err := jsonevents.Flatten([]byte(`{"level":"error","http":{"status":502,"tags":["a","b"]},"user":null}`))
	fmt.Println(events, err)
	// Output: map[http.status:[502] http.tags:[a b] level:[error]] <nil>
}

// Of each line only what the queries ask for becomes events.
func ExampleFlattener() {
	queries := []*query.Query{
		query.MustParse("level = 'error' AND http.status >= 500"),
		query.MustParse("http.tags = 'b'"),
	}
	index, f := match.New[string](), jsonevents.Flattener{Keys: jsonevents.KeysOf(queries...)}
	for _, q := range queries {
		index.Add(q, q.String())
	}
	for _, line := range []string{
		`{"time":"2026-01-01T00:00:00Z","level":"error","http":{"status":502,"path":"/"}}`,
		`{"time":"2026-01-01T00:00:01Z","http":{"tags":["a","b"]}}`,
		`{"time":"2026-01-01T00:00:02Z","level":NaN}`,
	} {
		events, err := f.Flatten([]byte(line))
		fmt.Println(index.Match(events, nil), err)
	}
	// Output:
	// [level = 'error' AND http.status >= 500] <nil>
	// [http.tags = 'b'] <nil>
	// [] jsonevents: offset 39: a number that JSON does not have; send null or a string
}
