package stream

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// subscribeAll returns a function that returns the next publication.
func (r *rig) subscribeAll() func() pubsub.Message {
	sub, err := r.bus.Subscribe(r.t.Context(), "all", query.All, 100)
	require.NoError(r.t, err)
	return func() pubsub.Message {
		m, err := sub.Next(r.t.Context())
		require.NoError(r.t, err)
		return m
	}
}

func TestADocumentIsPublishedWithItsEvents(t *testing.T) {
	r := newRig(t, Config{})
	next := r.subscribeAll()
	const document = `{"id":7,"item":[{"n":"x"},{"n":"y\n"}],"none":null}`
	plain := map[string][]string{"id": {"7"}, "item.n": {"x", "y\n"}}
	prefixed := map[string][]string{"order.v1.id": {"7"}, "order.v1.item.n": {"x", "y\n"}}
	for _, one := range []struct {
		path, kind, body string
		count            int
		events           map[string][]string
	}{
		{"/publish?flatten", "application/json", document, 1, plain},
		{"/publish?flatten=true", "application/json", "\ufeff \n" + document + "\r\n", 1, plain},
		{"/publish?flatten&prefix=order.v1", "application/json", document, 1, prefixed},
		{"/publish?flatten", "application/json", "[" + document + ", " + document + "]", 2, plain},
		{"/publish?flatten", "application/x-ndjson", document + "\n\n" + document + "\r\n" + document, 3, plain},
	} {
		status, text := r.post(one.path, one.kind, one.body)
		require.Equal(t, http.StatusOK, status, text)
		require.Contains(t, text, fmt.Sprintf(`{"published":%d,`, one.count))
		for range one.count {
			m := next()
			require.Equal(t, one.events, maps.Clone(m.Events()), one.body)
			require.Equal(t, document, fmt.Sprintf("%s", m.Data()))
		}
	}
	status, text := r.post("/publish?flatten", "application/x-ndjson", "{\"a\":1}\n{\"a\":2}")
	require.Equal(t, http.StatusOK, status, text)
	first, second := next(), next()
	require.Equal(t, []string{"1"}, first.Events()["a"], "the second has not changed it")
	require.Equal(t, []string{"2"}, second.Events()["a"])
}

// A document may name a topic, which takes the same right as elsewhere, and
// what the server alone sets it may not set, however it spells the key.
func TestADocumentGoesAroundNoRight(t *testing.T) {
	var events map[string][]string
	r := newRig(t, Config{AllowPublish: func(_ Identity, topic string, all map[string][]string) error {
		events = all
		switch {
		case topic != "" && topic != "/mine":
			return errors.New("not yours")
		case all["secret.key"] != nil:
			return errors.New("no such events")
		}
		return nil
	}})
	next := r.subscribeAll()
	sub, err := dialTopic(t, r, "/mine", RoleSubscriber)
	require.NoError(t, err)
	for _, one := range []struct {
		path, document string
		status         int
	}{
		{"/publish?flatten", `{"topic":"/yours"}`, 403},
		{"/publish?flatten", `{"\u0074opic":"/yours"}`, 403},
		{"/publish?flatten", `{"topic":["/mine",["/yours"]]}`, 403},
		{"/publish?flatten", `{"topic":"/mine","topic":"/yours"}`, 403},
		{"/publish?flatten", `{"topic":{"":1},"topic":["/yours"]}`, 403},
		{"/publish?flatten", `{"topic":"mine"}`, 400},
		{"/publish?flatten", `{"topic":7}`, 400},
		{"/publish?flatten", `{"publisher":"root"}`, 400},
		{"/publish?flatten", `{"topic":"/mine","publisher":["root"]}`, 400},
		{"/publish?flatten", `{"hark":{"presence":"join"}}`, 400},
		{"/publish?flatten", `{"hark.presence":{"topic":"/a"}}`, 400},
		{"/publish?flatten", `{"hark.presence":{"":"/a"}}`, 400},
		{"/publish?flatten&prefix=hark", `{"presence":"join"}`, 400},
		{"/publish?flatten&prefix=hark.presence", `{"topic":"/a"}`, 400},
		{"/publish?flatten", `{"secret":{"key":1}}`, 403},
		{"/publish?flatten&prefix=secret", `{"key":1}`, 403},
		{"/publish?flatten", `{"topic":"/mine","secret.key":1}`, 403},
		{"/publish?flatten", `[{"secret.key":1}]`, 403},
	} {
		status, text := r.post(one.path, "application/json", one.document)
		require.Equal(t, one.status, status, "%s: %s", one.document, text)
		require.Contains(t, text, `"published":0`)
	}
	status, text := r.post("/publish?flatten", "application/json", `{"topic":"/mine","x":{"y":1}}`)
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, []string{"1"}, events["x.y"])
	_, message, err := sub.ReadMessage()
	require.NoError(t, err)
	require.Contains(t, string(message), `"y":1`)
	m := next()
	require.Equal(t, []string{"/mine"}, m.Events()[TopicKey])
	require.NotEmpty(t, m.Events()[PublisherKey])

	status, text = r.post("/publish?flatten&prefix=in", "application/json", `{"topic":"/yours","publisher":"x"}`)
	require.Equal(t, http.StatusOK, status, "a prefix keeps what has no such meaning apart: %s", text)
	require.Equal(t, []string{"/yours"}, next().Events()["in.topic"])
}

func TestADocumentThatIsWrongSaysWhatAndWhere(t *testing.T) {
	r := newRig(t, Config{MaxFrame: 20_000})
	list := func(n int) string { return `{"a":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]}" }
	for _, one := range []struct {
		path, body string
		status     int
		say        string
	}{
		{"/publish?flatten", `{"a":NaN}`, 400, "offset 5: a number that JSON does not have"},
		{"/publish?flatten", "{\"a\":\"\xff\"}", 400, "not UTF-8"},
		{"/publish?flatten", `{"a":1}{"a":2}`, 400, "offset 7: something after the document"},
		{"/publish?flatten", `[{"a":1},[2]]`, 400, "publication 2: jsonevents: offset 0: an array where an object belongs"},
		{"/publish?flatten", `5`, 400, "a value where an object belongs"},
		{"/publish?flatten", ``, 400, "no document"},
		{"/publish?flatten", strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), 400, "more than 100 deep"},
		{"/publish?flatten", list(9_999), 413, "body too large"},
		{"/publish?flatten", `{"` + strings.Repeat("k", 9_000) + `":{"a":1,"b":2,"c":3}}`, 400, "more than 20000 bytes"},
		{"/publish?flatten=order", `{}`, 400, "what is put in front of keys is the parameter prefix"},
		{"/publish?prefix=order", `{}`, 400, "the parameter prefix is for flatten"},
		{"/publish?flatten&prefix=%ff", `{}`, 400, "256 bytes of UTF-8"},
		{"/publish?flatten&prefix=" + strings.Repeat("x", 257), `{}`, 400, "256 bytes of UTF-8"},
		{"/publish", `{"a":1}`, 400, "no publication"},
	} {
		status, text := r.post(one.path, "application/json", one.body)
		require.Equal(t, one.status, status, "%.50s: %s", one.body, text)
		require.Contains(t, text, one.say)
		require.Less(t, len(text), 512)
	}

	r = newRig(t, Config{})
	status, text := r.post("/publish?flatten", "application/json", list(10_000))
	require.Equal(t, http.StatusOK, status, text)
	status, text = r.post("/publish?flatten", "application/json", list(10_001))
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "more than 10000 values")
}
