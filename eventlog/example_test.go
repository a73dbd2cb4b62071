package eventlog_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/eventlog"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/store/tmdb"
)

// A process records what it publishes. The next one reads it, and goes on behind
// the place that it remembers.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "hark")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var seen history.Cursor
	for day := range 2 {
		engine, err := tmdb.Open(dir)
		if err != nil {
			log.Fatal(err)
		}
		events, err := eventlog.Open(engine, eventlog.Options{})
		if err != nil {
			log.Fatal(err)
		}
		server := pubsub.NewServer()
		if err := server.Start(); err != nil {
			log.Fatal(err)
		}
		recorder, err := events.Record(server, eventlog.RecordOptions{})
		if err != nil {
			log.Fatal(err)
		}
		for i, amount := range []string{"7", "80", "900"} {
			transfer := map[string][]string{"transfer.amount": {amount}}
			if err := server.PublishWithEvents(ctx, fmt.Sprintf("day %d, transfer %d", day, i), transfer); err != nil {
				log.Fatal(err)
			}
		}
		if err := recorder.Flush(ctx); err != nil { // all of it is on disk
			log.Fatal(err)
		}
		for entry, err := range events.Replay(ctx, seen, query.MustParse("transfer.amount > 50")) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(entry.Message.Data())
			seen = entry.Cursor
		}
		if err := server.Stop(); err != nil {
			log.Fatal(err)
		}
		if err := events.Close(); err != nil {
			log.Fatal(err)
		}
		if err := engine.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// day 0, transfer 1
	// day 0, transfer 2
	// day 1, transfer 1
	// day 1, transfer 2
}
