package query_test

import (
	"fmt"

	"github.com/harkbus/pubsub/query"
)

func ExampleNew() {
	q, err := query.New("tm.event='Tx' and (tx.height > 5.0)")
	fmt.Println(q, err)
	// Output: tm.event = 'Tx' AND tx.height > 5 <nil>
}

func ExampleQuery_Matches() {
	q := query.MustParse("tm.event = 'Tx' AND transfer.amount > 50")
	fmt.Println(q.Matches(map[string][]string{
		"tm.event":        {"Tx"},
		"transfer.amount": {"7uatom", "80uatom"},
	}))
	// Output: true <nil>
}

func ExampleAnd() {
	a := query.MustParse("tm.event = 'Tx'")
	b := query.MustParse("tx.height > 5 OR tx.code != 0")
	fmt.Println(query.And(a, b))
	fmt.Println(query.And(a, query.All))
	// Output:
	// tm.event = 'Tx' AND (tx.height > 5 OR tx.code != 0)
	// tm.event = 'Tx'
}
