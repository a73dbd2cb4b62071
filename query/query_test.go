package query_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

func TestNestedNodesOfOneKindAreOne(t *testing.T) {
	for text, canonical := range map[string]string{
		"a=1 AND (b=2 AND c=3)":                    "a = 1 AND b = 2 AND c = 3",
		"((a=1 OR b=2) OR (c=3)) OR d=4":           "a = 1 OR b = 2 OR c = 3 OR d = 4",
		"a=1 AND (b=2 OR (c=3 AND (d=4 AND e=5)))": "a = 1 AND (b = 2 OR c = 3 AND d = 4 AND e = 5)",
		"NOT (a=1 AND (b=2 AND c=3))":              "NOT (a = 1 AND b = 2 AND c = 3)",
	} {
		q := query.MustParse(text)
		require.Equal(t, canonical, q.String())
		require.Equal(t, q.Expr(), query.MustParse(canonical).Expr())
	}
}
