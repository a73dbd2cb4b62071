package redisbridge

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// A peer's regular expressions are run as far as the limit, and beyond it the
// publication is sent: never withheld, and nobody waits.
func TestExpressionsOfPeersFailOpen(t *testing.T) {
	const text, instructions = "m MATCHES 'x{0,7}[yz]'", 17
	v := newView()
	v.apply(&interest{origin: pubsub.Origin{Name: "peer"}, queries: []*query.Query{query.MustParse(text)}}, time.Now())
	v.complete(func() bool { return true })
	wants := func(value string) bool {
		return v.wants(pubsub.NewMessage(nil, map[string][]string{"m": {value}}))
	}
	require.Equal(t, instructions, query.MustParse(text).Instructions())
	most := expressionSteps/instructions - 16
	require.False(t, wants("xxx"))
	require.True(t, wants("xxxy"))
	require.False(t, wants(strings.Repeat("x", most)))
	require.True(t, wants(strings.Repeat("x", most+1)))
	require.True(t, wants(strings.Repeat("x", 100<<20)))

	v.apply(&interest{origin: pubsub.Origin{Name: "other"}, queries: []*query.Query{query.MustParse("m MATCHES 'x{0,7}[ya]'")}}, time.Now())
	require.False(t, wants(strings.Repeat("x", most/2-16)))
	require.True(t, wants(strings.Repeat("x", most/2+16)), "the limit is of all queries together")
}
