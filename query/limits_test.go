package query_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

// exactly makes, for every field of Limits, a query that needs exactly n of it,
// and little of the others.
var exactly = map[string]func(n int) string{
	"Length":     func(n int) string { return "a = '" + strings.Repeat("x", n-6) + "'" },
	"Conditions": func(n int) string { return strings.Repeat("a=1 OR ", n-1) + "a=1" },
	"Depth": func(n int) string {
		return strings.Repeat("(", n/2) + strings.Repeat("NOT ", n-n/2) + "a=1" + strings.Repeat(")", n/2)
	},
	"Operands": func(n int) string { return "a IN (1" + strings.Repeat(",1", n-1) + ")" },
	"Regexp":   func(n int) string { return "a MATCHES '" + strings.Repeat("x", n-beginAndEnd) + "'" },
}

const beginAndEnd = 2 // instructions of any expression

var defaults = query.Limits{Length: 4096, Conditions: 256, Depth: 64, Operands: 256, Regexp: 400}

func TestEveryLimitHoldsExactly(t *testing.T) {
	fields := reflect.TypeFor[query.Limits]()
	require.Len(t, exactly, fields.NumField(), "a limit has no row in the table")
	for i := range fields.NumField() {
		field := fields.Field(i)
		byDefault := int(reflect.ValueOf(defaults).Field(i).Int())
		for _, set := range []int{0, -1, 12, 13, byDefault + 100} {
			t.Run(fmt.Sprint(field.Name, "=", set), func(t *testing.T) {
				// The others are not to be what refuses.
				limits := query.Limits{Length: 1 << 20, Conditions: 1 << 20, Depth: 10_000, Operands: 1 << 20, Regexp: 1 << 20}
				reflect.ValueOf(&limits).Elem().Field(i).SetInt(int64(set))
				most := set
				if set <= 0 {
					most = byDefault
				}
				text := exactly[field.Name]
				_, err := limits.New(text(most))
				require.NoError(t, err, "exactly the limit")
				_, err = limits.New(text(most - 1))
				require.NoError(t, err)
				_, err = limits.New(text(most + 1))
				requireSyntaxError(t, err)
				require.ErrorContains(t, err, fmt.Sprint(most), "the error tells the limit")
			})
		}
	}
}
