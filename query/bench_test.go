package query_test

import (
	"testing"

	"github.com/harkbus/pubsub/query"
)

var benchmarked = map[string]string{
	"conditions=1": `tm.event = 'NewBlock'`,
	"conditions=3": `tm.event='Tx' AND transfer.recipient='cosmos1gu6y2a0ffteesyeyeesk23082c6998xyzmt9mz' AND tx.height > 5`,
	"conditions=5": `tx.height >= 100 AND tx.height <= 200 AND block.time >= TIME 2013-05-03T14:45:00Z AND message.action EXISTS AND transfer.sender CONTAINS 'cosmos1'`,
}

func BenchmarkNew(b *testing.B) {
	for name, text := range benchmarked {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := query.New(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
