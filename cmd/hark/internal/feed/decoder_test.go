package feed_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
)

func decode(t *testing.T, line string) []feed.Publication {
	t.Helper()
	var decoder feed.Decoder
	publications, err := decoder.Decode([]byte(line))
	require.NoError(t, err)
	return slices.Collect(publications)
}

// only returns the one publication that there is.
func only(t *testing.T, publications iter.Seq[feed.Publication]) feed.Publication {
	t.Helper()
	all := slices.Collect(publications)
	require.Len(t, all, 1)
	return all[0]
}

func TestPublicationsAreFoundWhereverTheyStand(t *testing.T) {
	want := map[string][]string{"tm.event": {"Tx"}, "transfer.amount": {"5uatom", "7"}}
	const events = `"events":{"tm.event":["Tx"],"transfer.amount":["5uatom","7"]}`
	for name, line := range map[string]string{
		"a line":               `{` + events + `}`,
		"data after":           `{` + events + `,"data":{"events":{"no":["no"]}}}`,
		"data before":          `{"data":[{"events":5}],` + events + `}`,
		"blanks":               ` { ` + strings.ReplaceAll(events, ":", " : ") + " } \r",
		"a node's message":     `{"jsonrpc":"2.0","id":0,"result":{"query":"tm.event='Tx'","data":{"type":"a"},` + events + `}}`,
		"result by itself":     `{"result":{"data":1,` + events + `}}`,
		"escapes":              `{"\u0065vents":{"tm\u002eevent":["T\u0078"],"transfer.amount":["5uatom","7"]}}`,
		"over several lines":   "{\n \"events\": {\n  \"tm.event\": [\"Tx\"], \"transfer.amount\": [\n\"5uatom\",\"7\"]}\n}",
		"a string as a result": `{"result":"x",` + events + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			publications := decode(t, line)
			require.Len(t, publications, 1)
			require.Equal(t, want, publications[0].Events)
			again, err := publications[0].AppendLine([]byte("3:"), []byte(line))
			require.NoError(t, err)
			require.Equal(t, "3:"+line, string(again), "the line itself, unchanged")
		})
	}
}

func TestAPublicationMayBeWithoutEvents(t *testing.T) {
	for _, line := range []string{`{"events":{}}`, `{"events":null}`, `{"result":{"events":{}}}`} {
		publications := decode(t, line)
		require.Len(t, publications, 1)
		require.Empty(t, publications[0].Events)
	}
	require.Equal(t, map[string][]string{"a": nil, "b": nil}, decode(t, `{"events":{"a":[],"b":null}}`)[0].Events)
}

func TestWhatElseANodeSaysHoldsNoPublication(t *testing.T) {
	for _, line := range []string{
		`{"jsonrpc":"2.0","id":0,"result":{}}`,
		`{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"Internal error"}}`,
		`{"jsonrpc":"2.0","id":0,"method":"subscribe","params":{"query":"a = 1"}}`,
		`{"result":null}`,
		`{"result":[]}`,
	} {
		require.Empty(t, decode(t, line))
	}
}

func TestBadLinesSayWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		`x`:                                    "feed: not JSON: ",
		``:                                     "feed: not JSON: ",
		`not json`:                             "feed: not JSON: ",
		`null`:                                 "feed: null where an object belongs",
		`{"events":tx}`:                        "feed: not JSON: ",
		`{"events":{"a":fee}}`:                 "feed: not JSON: ",
		`{"events":{"a":["x",nix]}}`:           "feed: not JSON: ",
		`{"events":{}`:                         "feed: not JSON: ",
		`{"events":`:                           "feed: not JSON: ",
		`{"events":{"a":["x"`:                  "feed: not JSON: ",
		`{"events":{"a":["x",]}}`:              "feed: not JSON: ",
		`{"events":{"a":["` + "\xff" + `"]}}`:  "feed: not JSON: ",
		`{"events":{"a":["x"],"a":["y"]}}`:     "feed: not JSON: ",
		`{"events":{}} {}`:                     "feed: more than one value in the line",
		`{"events":{}} x`:                      "feed: not JSON: ",
		`[]`:                                   "feed: an array where an object belongs",
		`5`:                                    "feed: a number where an object belongs",
		`"x"`:                                  "feed: a string where an object belongs",
		`{}`:                                   `feed: no "events" in the object`,
		`{"Events":{}}`:                        `feed: no "events" in the object`,
		`{"events":[]}`:                        "feed: events: an array where an object belongs",
		`{"events":{"a.b":"x"}}`:               `feed: events: "a.b" has a string where an array of strings belongs`,
		`{"events":{"c":["x"],"a.b":["x",1]}}`: `feed: events: "a.b" has a number among its values; they are strings`,
		`{"txs_results":5}`:                    "feed: not the results of a block: ",
		`{"events":` + strings.Repeat("[", 100_000): "feed: events: an array",
		`{"data":` + strings.Repeat("[", 100_000):   "feed: not JSON: ",
	} {
		var decoder feed.Decoder
		_, err := decoder.Decode([]byte(line))
		require.ErrorContains(t, err, want, "%.40s", line)
		publications, err := decoder.Decode([]byte(`{"events":{"a":["b"]}}`))
		require.NoError(t, err, "the decoder goes on")
		require.Equal(t, map[string][]string{"a": {"b"}}, only(t, publications).Events)
	}
}

func TestALineLeavesNothingBehind(t *testing.T) {
	var decoder feed.Decoder
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, `,"k%d":["a","b"]`, i)
	}
	for range 2 {
		first, err := decoder.Decode([]byte(`{"events":{` + many.String()[1:] + `}}`))
		require.NoError(t, err)
		require.Len(t, only(t, first).Events, 5000)
		second, err := decoder.Decode([]byte(`{"events":{"a":["x"]}}`))
		require.NoError(t, err)
		require.Equal(t, map[string][]string{"a": {"x"}}, only(t, second).Events)
	}
}

const finalizeBlock = `{"jsonrpc":"2.0","id":-1,"result":{"height":"7","txs_results":[
{"code":0,"data":"","gas_used":"70","events":[
	{"type":"transfer","attributes":[{"key":"amount","value":"5uatom","index":true},{"key":"sender","value":"a","index":false}]},
	{"type":"transfer","attributes":[{"key":"amount","value":"6uatom","index":true}]},
	{"type":"","attributes":[{"key":"x","value":"y"}]},{"type":"x","attributes":[{"key":"","value":"y"}]},{"type":"bare","attributes":null}]},
{"code":5,"gas_used":"1","events":null}],
"finalize_block_events":[{"type":"mint","attributes":[{"key":"amount","value":"9"}]}],"validator_updates":null}}`

func TestABlockHoldsAPublicationForEachTransactionAndEachOfItsEvents(t *testing.T) {
	publications := decode(t, finalizeBlock)
	require.Len(t, publications, 3)
	require.Equal(t, map[string][]string{
		"tm.event": {"Tx"}, "tx.height": {"7"}, "transfer.amount": {"5uatom", "6uatom"}, "transfer.sender": {"a"},
	}, publications[0].Events)
	require.Equal(t, map[string][]string{"tm.event": {"Tx"}, "tx.height": {"7"}}, publications[1].Events)
	require.Equal(t, map[string][]string{
		"tm.event": {"NewBlock"}, "block.height": {"7"}, "mint.amount": {"9"},
	}, publications[2].Events)

	var lines []string
	for _, p := range publications {
		line, err := p.AppendLine(nil, []byte(finalizeBlock))
		require.NoError(t, err)
		require.Equal(t, p.Events, decode(t, string(line))[0].Events, "what is printed can be read again")
		lines = append(lines, string(line))
	}
	require.Equal(t, []string{
		`{"events":{"tm.event":["Tx"],"transfer.amount":["5uatom","6uatom"],"transfer.sender":["a"],"tx.height":["7"]},"data":{"height":"7","index":0,"code":0,"gas_used":"70"}}`,
		`{"events":{"tm.event":["Tx"],"tx.height":["7"]},"data":{"height":"7","index":1,"code":5,"gas_used":"1"}}`,
		`{"events":{"block.height":["7"],"mint.amount":["9"],"tm.event":["NewBlock"]},"data":{"height":"7","phase":"finalize_block_events","index":0,"type":"mint"}}`,
	}, lines)
}

// Tendermint 0.34 has two phases around the transactions and encodes keys and
// values in base64.
func TestABlockOfAnOlderNode(t *testing.T) {
	publications := decode(t, `{"height":7,"txs_results":null,
		"begin_block_events":[{"type":"mint","attributes":[{"key":"YW1vdW50","value":"OQ==","index":true},{"key":"bm9uZQ==","value":null}]}],
		"end_block_events":[{"type":"rewards","attributes":[{"key":"YW1vdW50","value":"OHVhdG9t"}]}]}`)
	require.Len(t, publications, 2)
	require.Equal(t, []string{"9"}, publications[0].Events["mint.amount"])
	require.Equal(t, []string{""}, publications[0].Events["mint.none"])
	require.Equal(t, []string{"7"}, publications[0].Events["block.height"])
	require.Equal(t, []string{"8uatom"}, publications[1].Events["rewards.amount"])
}

// "receiver" and "data" are spelled in letters of base64.
func TestPlainAttributesAreNotTakenForBase64(t *testing.T) {
	publications := decode(t, `{"height":"7","txs_results":[{"events":[{"type":"a","attributes":[{"key":"receiver","value":"data"}]}]}]}`)
	require.Equal(t, []string{"data"}, publications[0].Events["a.receiver"])
}

func TestABlockWithoutAttributes(t *testing.T) {
	require.Empty(t, decode(t, `{"result":{"height":"7","txs_results":null,"finalize_block_events":[]}}`))
	require.Len(t, decode(t, `{"result":{"height":"7","txs_results":[{}]}}`), 1)
}

// FuzzDecode holds the decoder against encoding/json on lines of its first
// form, and looks for panics on all others.
func FuzzDecode(f *testing.F) {
	for _, line := range []string{
		`{"events":{"a":["b","c"],"d":[]},"data":1}`, `{"result":{"events":{"a":["\u0041"]}}}`, finalizeBlock,
		`{"events":null}`, `{"jsonrpc":"2.0"}`, `{"events":{"a":["`, `[]`, `{"a":1}{}`,
	} {
		f.Add([]byte(line))
	}
	var decoder feed.Decoder
	f.Fuzz(func(t *testing.T, line []byte) {
		publications, err := decoder.Decode(line)
		if err != nil {
			return
		}
		require.True(t, json.Valid(line), "accepted")
		for p := range publications {
			text, err := p.AppendLine(nil, line)
			require.NoError(t, err)
			require.True(t, json.Valid(text))
		}
		var plain map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(line, &plain))
		if _, ok := plain["events"]; !ok || len(plain) != 1 {
			return
		}
		var want map[string][]string
		require.NoError(t, json.Unmarshal(plain["events"], &want))
		events := only(t, publications).Events
		require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(events)))
		for key, values := range want {
			require.True(t, slices.Equal(values, events[key]), key)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	line := []byte(`{"events":{"tm.event":["Tx"],"tx.height":["367216"],"transfer.recipient":["tcro17xpfvakm2amg962yls6f84z3kell8c5lxhzaha"],"transfer.sender":["tcro1pm27djcs5djxjsxw3unrkv3m3jtxdexk73hqel"],"transfer.amount":["20000basetcro"]},"data":{"height":"367216","index":0,"code":0,"gas_used":"143179"}}`)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	var decoder feed.Decoder
	for b.Loop() {
		if _, err := decoder.Decode(line); err != nil {
			b.Fatal(err)
		}
	}
}

// A block's publications are made one after the other: a line of very many takes
// no more memory than what it says.
func TestABlockIsNotMadeAllAtOnce(t *testing.T) {
	const n = 100_000
	line := []byte(`{"height":"5","txs_results":[{}` + strings.Repeat(`,{}`, n-1) + `]}`)
	var decoder feed.Decoder
	publications, err := decoder.Decode(line)
	require.NoError(t, err)
	made := 0
	allocated := testing.AllocsPerRun(1, func() {
		for range publications {
			if made++; made%10 == 0 {
				break
			}
		}
	})
	require.Equal(t, 20, made)
	require.Less(t, allocated, 200.0)
	require.Len(t, slices.Collect(publications), n)
}

// Every part of a block repeats its height.
func TestALongHeightIsRefused(t *testing.T) {
	var decoder feed.Decoder
	_, err := decoder.Decode([]byte(`{"height":"` + strings.Repeat("5", 40) + `","txs_results":[{},{}]}`))
	require.ErrorContains(t, err, "feed: a height of 42 bytes: it is a number of at most 19 digits")
	_, err = decoder.Decode([]byte(`{"height":9223372036854775807,"txs_results":[{}]}`))
	require.NoError(t, err)
}
