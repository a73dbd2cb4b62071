package query_test

import (
	"errors"
	"fmt"
	"slices"

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

func ExampleSyntaxError_Picture() {
	_, err := query.New("tx.height >= 5 AND tx.height =< 9")
	var e *query.SyntaxError
	if errors.As(err, &e) {
		fmt.Println(e)
		fmt.Println(e.Picture())
	}
	// Output:
	// query: offset 30: expected a value, got "<"
	// tx.height >= 5 AND tx.height =< 9
	//                               ^
}

func ExampleLimits() {
	limits := query.Limits{Conditions: 1}
	_, err := limits.New("a = 1 OR b = 2")
	fmt.Println(err)
	// Output: query: offset 9: more than 1 conditions
}

func ExampleCondition_SatisfiedBy() {
	events := map[string][]string{"transfer.amount": {"7uatom", "80uatom", "95uatom"}}
	for _, c := range query.MustParse("transfer.amount > 50").Conditions() {
		fmt.Println(c, slices.Collect(c.SatisfiedBy(events)))
	}
	// Output: transfer.amount > 50 [80uatom 95uatom]
}
