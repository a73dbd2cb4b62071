package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whether a topic may be published to is asked once for each, and there are few
// of them, however many times a publication names them.
func TestTopicsOfAPublicationAreFewAndAskedAboutOnce(t *testing.T) {
	asked := 0
	r := newRig(t, Config{AllowPublish: func(Identity, string, map[string][]string) error {
		asked++
		return nil
	}})
	publish := func(topics []string) (int, string) {
		body, err := json.Marshal(map[string]any{"topic": "/a", "data": 1, "events": map[string]any{"topic": topics}})
		require.NoError(t, err)
		return r.post("/publish", "application/json", string(body))
	}
	var equal, different []string
	for i := range 100_000 {
		equal = append(equal, "/a")
		if i <= maxTopics {
			different = append(different, fmt.Sprintf("/%d", i))
		}
	}
	status, text := publish(equal)
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, 1, asked)
	status, text = publish(different)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "a publication may be on 100 topics")
	require.Equal(t, 1, asked)
	status, _ = publish(different[:maxTopics-1])
	require.Equal(t, http.StatusOK, status, "and the field's")
	require.Equal(t, 1+maxTopics, asked)
}

// A publication that its token, or the drain, overtakes is not asked about to
// the end.
func TestAskingWhatMayBePublishedEndsWithTheRequest(t *testing.T) {
	r := newRig(t, Config{})
	waits, cancel := context.WithCancel(t.Context())
	asked := 0
	r.server.config.AllowPublish = func(Identity, string, map[string][]string) error {
		if asked++; asked == 3 {
			cancel()
		}
		return nil
	}
	request := httptest.NewRequest(http.MethodPost, "/publish", strings.NewReader(`{"data":1,"events":{"topic":["/1","/2","/3","/4","/5"]}}`))
	p := publisher{server: r.server, visit: r.server.newVisit(request), waits: waits}
	require.ErrorIs(t, p.publishJSON(httptest.NewRecorder(), request), context.Canceled)
	require.Equal(t, 3, asked)
}

// The rights of a token are parsed once, however often they are asked for.
func TestTheRightsOfATokenAreParsedOnce(t *testing.T) {
	tokens, err := NewTokens(TokenConfig{Algorithms: []string{"HS256"}, Audience: "hark", Key: func(string, string) (any, error) { return []byte("k"), nil }, PublishClaim: "publish"})
	require.NoError(t, err)
	id, err := tokens.identity(map[string]any{"sub": "ann", "exp": 4e9, "publish": []any{"/a", "/b"}})
	require.NoError(t, err)
	require.NoError(t, tokens.AllowPublish(id, "/b", nil))
	first := &id.parsed.byClaim["publish"][0]
	require.Error(t, tokens.AllowPublish(id, "/c", nil))
	require.Same(t, first, &id.parsed.byClaim["publish"][0])
	require.NoError(t, tokens.AllowPublish(Identity{Claims: id.Claims}, "/a", nil), "one that nobody parsed")
}
