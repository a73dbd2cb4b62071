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

func BenchmarkMatches(b *testing.B) {
	events := map[string][]string{
		"tm.event": {"Tx"}, "tx.height": {"150"}, "tx.hash": {"3D4E0A5A61B1BE7F"}, "tx.fee": {"1500uatom"},
		"block.time": {"2024-02-15T17:05:42.123456789Z"}, "message.action": {"/cosmos.bank.v1beta1.MsgSend"},
		"transfer.sender": {"cosmos17xpfvakm2amg962yls6f84z3kell8c5lserqta"}, "transfer.amount": {"7uatom", "80uatom"},
		"transfer.recipient": {"cosmos1fl48vsnmsdzcv85q5d2q4z5ajdha8yu34mf0eh", "cosmos1gu6y2a0ffteesyeyeesk23082c6998xyzmt9mz"},
	}
	for name, text := range benchmarked {
		q := query.MustParse(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.Matches(events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
