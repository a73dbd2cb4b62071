package feed_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
	"github.com/harkbus/pubsub/query"
)

func TestAnyObjectIsAPublication(t *testing.T) {
	decoder := feed.NewDocuments(query.MustParse("events.a = 1"), query.MustParse("b.c EXISTS"))
	const line = ` {"events":{"a":[1,"x"],"other":2},"b":{"c":null},"result":{"events":{}}}`
	publications, err := decoder.Decode([]byte(line))
	require.NoError(t, err)
	publication := only(t, publications)
	require.Equal(t, map[string][]string{"events.a": {"1", "x"}}, publication.Events)
	again, err := publication.AppendLine(nil, []byte(line))
	require.NoError(t, err)
	require.Equal(t, line, string(again))
	_, err = decoder.Decode([]byte(line + "}"))
	require.Error(t, err)
}

// The lines are the user's own: a long one is read.
func TestALongLineIsRead(t *testing.T) {
	decoder := feed.NewDocuments(query.MustParse("a = 1"))
	list := strings.TrimSuffix(strings.Repeat("1,", 200_000), ",")
	publications, err := decoder.Decode([]byte(`{"b":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `,"a":[` + list + `]}`))
	require.NoError(t, err)
	require.Len(t, only(t, publications).Events["a"], 200_000)
}
