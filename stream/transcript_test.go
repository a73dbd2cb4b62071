package stream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// testdata/cometbft.transcript says what it is and how it is read.
func TestAnswersAreThoseOfCometBFT(t *testing.T) {
	text, err := os.ReadFile("testdata/cometbft.transcript")
	require.NoError(t, err)
	r := newRig(t, Config{})
	p := r.dial()

	name := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		verb, rest, _ := strings.Cut(expand(lines.Text()), " ")
		switch verb {
		case "", "#":
		case "=":
			name = rest
		case ">":
			p.send(rest)
		case ">>":
			require.NoError(t, p.ws.WriteMessage(websocket.BinaryMessage, []byte(rest)), name)
		case "*":
			var published struct {
				Data   json.RawMessage
				Events map[string][]string
			}
			require.NoError(t, json.Unmarshal([]byte(rest), &published), name)
			r.publish(published.Data, published.Events)
		case "<":
			requireLike(t, rest, p.receive(), name)
		case "close":
			code, _, messages := p.closed()
			require.Empty(t, messages, name)
			require.Equal(t, rest, strconv.Itoa(code), name)
		default:
			t.Fatalf("line %q", lines.Text())
		}
	}
	require.NoError(t, lines.Err())
}

var repeated = regexp.MustCompile(`<(.)(\d+)>`)

func expand(line string) string {
	return repeated.ReplaceAllStringFunc(line, func(s string) string {
		parts := repeated.FindStringSubmatch(s)
		n, err := strconv.Atoi(parts[2])
		if err != nil {
			panic(err)
		}
		return strings.Repeat(parts[1], n)
	})
}

// requireLike requires JSON-equal texts; a string of want that ends in … is
// equal to any that begins so.
func requireLike(t *testing.T, want, got, name string) {
	t.Helper()
	var w, g any
	require.NoError(t, json.Unmarshal([]byte(want), &w), name)
	require.NoError(t, json.Unmarshal([]byte(got), &g), "%s: %s", name, got)
	require.Equal(t, w, abbreviate(w, g), "%s: got %s", name, got)
}

// abbreviate returns got with the strings cut that want cuts.
func abbreviate(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			for key, value := range w {
				if _, ok := g[key]; ok {
					g[key] = abbreviate(value, g[key])
				}
			}
		}
	case string:
		head, cut := strings.CutSuffix(w, "…")
		if g, ok := got.(string); ok && cut && strings.HasPrefix(g, head) {
			return w
		}
	}
	return got
}
