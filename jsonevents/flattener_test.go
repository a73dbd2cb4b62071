package jsonevents_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub/jsonevents"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

type events = map[string][]string

// documents holds what a stranger might ask about, and the answers.
var documents = []struct {
	name, doc string
	want      events
}{
	{"nothing", `{}`, events{}},
	{"a log line", `{"level":"error","http":{"status":502,"tags":["a","b"]},"user":null}`, events{"level": {"error"}, "http.status": {"502"}, "http.tags": {"a", "b"}}},
	{"text", `{"a":"x","b":"","c":" x "}`, events{"a": {"x"}, "b": {""}, "c": {" x "}}},
	{"numbers as written", `{"a":[0,-0,1.50,1e5,1E+5,-1.0e-05,123456789012345678901234567890.10]}`, events{"a": {"0", "-0", "1.50", "1e5", "1E+5", "-1.0e-05", "123456789012345678901234567890.10"}}},
	{"booleans", `{"a":true,"b":false,"c":[true,"true"]}`, events{"a": {"true"}, "b": {"false"}, "c": {"true", "true"}}},
	{"null, empty arrays and objects", `{"a":null,"b":[],"c":{},"d":[null,[],{},1],"e":{"f":null}}`, events{"d": {"1"}}},
	{"nested arrays", `{"a":[1,[2,[3,[]]],4]}`, events{"a": {"1", "2", "3", "4"}}},
	{"objects in arrays", `{"a":[{"b":1,"c":2},{"b":[3,4]},5,{"b":{"d":6}}]}`, events{"a": {"5"}, "a.b": {"1", "3", "4"}, "a.c": {"2"}, "a.b.d": {"6"}}},
	{"a name twice", `{"a":1,"b":2,"a":3,"a":{"c":4},"a":{"c":5}}`, events{"a": {"1", "3"}, "b": {"2"}, "a.c": {"4", "5"}}},
	{"dots in names", `{"a.b":1,"a":{"b":2,".":3},".":4,"a.b.c":{"d.e":5}}`, events{"a.b": {"1", "2"}, "a..": {"3"}, ".": {"4"}, "a.b.c.d.e": {"5"}}},
	{"empty names", `{"":1,"a":{"":2},"b":{"":{"":3}}}`, events{"": {"1"}, "a.": {"2"}, "b..": {"3"}}},
	{"names with blanks, quotes and signs", `{"user name":1,"it's":2,"\"":3,"a=b":4,"é":5}`, events{"user name": {"1"}, "it's": {"2"}, `"`: {"3"}, "a=b": {"4"}, "é": {"5"}}},
	{"escapes", `{"\u0061\u002eb":"\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00"}`, events{"a.b": {"\"\\/\b\f\n\r\té€😀"}}},
	{"half of a surrogate pair", `{"a":["\ud83d","\ude00x","\ud83d\ud83d\ude00","\ud83d\u0041","\ud83d\n"]}`, events{"a": {"\ufffd", "\ufffdx", "\ufffd😀", "\ufffdA", "\ufffd\n"}}},
	{"characters", `{"a":"é€😀 and some more text, 日本語, behind"}`, events{"a": {"é€😀 and some more text, 日本語, behind"}}},
	{"blanks", " \t\r\n{ \"a\" :\t[ 1 ,\r2 ] , \"b\"\n: { \"c\" : true } } \n", events{"a": {"1", "2"}, "b.c": {"true"}}},
	{"a byte order mark", "\ufeff {\"a\":1}", events{"a": {"1"}}},
	{"long strings and numbers", `{"abcdefghijklmnopqrstuvwxyz":"abcdefghijklmnopqrstuvwxyz\nabcdefgh","b":-12345678901234567.12345678e12345678}`, events{"abcdefghijklmnopqrstuvwxyz": {"abcdefghijklmnopqrstuvwxyz\nabcdefgh"}, "b": {"-12345678901234567.12345678e12345678"}}},
}

func TestDocumentsBecomeEvents(t *testing.T) {
	var f jsonevents.Flattener
	for _, d := range documents {
		t.Run(d.name, func(t *testing.T) {
			require.Equal(t, d.want, model([]byte(d.doc)), "the model")
			for range 2 {
				got, err := f.Flatten([]byte(d.doc))
				require.NoError(t, err)
				require.Equal(t, d.want, got)
			}
			got, err := jsonevents.Flatten([]byte(d.doc))
			require.NoError(t, err)
			require.Equal(t, d.want, got)
		})
	}
}

// wrong holds what is no document: what is wrong, and where.
var wrong = []struct {
	doc     string
	offset  int
	problem string
}{
	{``, 0, "no document; send an object"},
	{" \n", 2, "no document; send an object"},
	{`[{"a":1}]`, 0, "an array where an object belongs; send its elements one by one"},
	{`5`, 0, `a value where an object belongs; send it as {"value":…}`},
	{` "x"`, 1, `a value where an object belongs; send it as {"value":…}`},
	{`x`, 0, `'x' where a value belongs`},
	{"\x00", 0, `'\x00' where a value belongs`},
	{`level=error`, 0, `'l' where a value belongs`},
	{`{"a":1}{"a":2}`, 7, "something after the document; send one at a time"},
	{`{"a":1} ,`, 8, "something after the document; send one at a time"},
	{`{"a":1`, 6, `the document ends where a comma or "}" belongs; send all of it`},
	{`{"a":[1`, 7, `the document ends where a comma or "]" belongs; send all of it`},
	{`{"a":"x`, 7, "the document ends in a string; send all of it"},
	{`{"a":"abcdefghijkl`, 18, "the document ends in a string; send all of it"},
	{`{"a":`, 5, "the document ends where a value belongs; send all of it"},
	{`{"a"`, 4, "the document ends where a colon belongs; send all of it"},
	{`{`, 1, "the document ends where a name in double quotes belongs; send all of it"},
	{`{"a":1,}`, 7, `'}' where a name in double quotes belongs`},
	{`{"a":[1,]}`, 8, `']' where a value belongs`},
	{`{"a" 1}`, 5, `'1' where a colon belongs`},
	{`{"a":1 "b":2}`, 7, `'"' where a comma or "}" belongs`},
	{`{"a":1]`, 6, `']' where a comma or "}" belongs`},
	{`{"a":[1}`, 7, `'}' where a comma or "]" belongs`},
	{`{a:1}`, 1, `'a' where a name in double quotes belongs`},
	{`{'a':1}`, 1, "a single quote where a name in double quotes belongs; JSON has double quotes"},
	{`{"a":'x'}`, 5, "a single quote where a value belongs; JSON has double quotes"},
	{`{"a":NaN}`, 5, "a number that JSON does not have; send null or a string"},
	{`{"a":[-Infinity]}`, 6, "a number that JSON does not have; send null or a string"},
	{`{"a":Infinity}`, 5, "a number that JSON does not have; send null or a string"},
	{`{"a":True}`, 5, `'T' where a value belongs`},
	{`{"a":nul}`, 5, `'n' where a value belongs`},
	{`{"a":truex}`, 9, `'x' where a comma or "}" belongs`},
	{`{"a":+1}`, 5, `'+' where a value belongs`},
	{`{"a":.5}`, 5, `'.' where a value belongs`},
	{`{"a":-}`, 5, "a number that lacks digits"},
	{`{"a":1.}`, 5, "a number that lacks digits"},
	{`{"a":1e+}`, 5, "a number that lacks digits"},
	{`{"a":-01}`, 5, "a number that begins with 0; write it without, or as a string"},
	{`{"a":0x10}`, 6, `'x' where a comma or "}" belongs`},
	{`{"a":1/2}`, 6, `'/' where a comma or "}" belongs`},
	{`{"a":"\x"}`, 6, `a backslash before what needs none; write \\ for a backslash`},
	{`{"a":"\u12g4"}`, 6, `\u without four hexadecimal digits`},
	{`{"a":"\u12`, 6, `\u without four hexadecimal digits`},
	{"{\"a\":\"x\ty\"}", 7, "a control character, U+0009, in a string; write it as an escape"},
	{"{\"a\":\"abcdefghijklmno\x00\"}", 21, "a control character, U+0000, in a string; write it as an escape"},
	{"{\"a\":\"x\xff\"}", 7, "a byte that is not UTF-8, 0xFF; send the document in UTF-8"},
	{"{\"a\":\"\xed\xa0\x80\"}", 6, "a byte that is not UTF-8, 0xED; send the document in UTF-8"},
	{"{\"a\xc0\xaf\":1}", 3, "a byte that is not UTF-8, 0xC0; send the document in UTF-8"},
	{"{\"a\":\xff}", 5, "a byte that is not UTF-8, 0xFF; send the document in UTF-8"},
	{"{\"a\":1\u00a0}", 6, `'\u00a0' where a comma or "}" belongs`},
	{"{\"a\":1\f}", 6, `'\f' where a comma or "}" belongs`},
	{"\ufeff\ufeff{}", 3, `'\ufeff' where a value belongs`},
	{`{"a":1 // why` + "\n}", 7, `'/' where a comma or "}" belongs`},
}

// What is wrong is the same whether it is wanted or not.
func TestErrorsSayWhatWhereAndWhatToDo(t *testing.T) {
	for _, w := range wrong {
		t.Run(w.doc, func(t *testing.T) {
			require.Nil(t, model([]byte(w.doc)), "the model")
			for _, keys := range []*jsonevents.Keys{nil, {}, jsonevents.KeysOf(query.MustParse("a = 1"))} {
				f := jsonevents.Flattener{Keys: keys}
				got, err := f.Flatten([]byte(w.doc))
				require.Nil(t, got)
				require.Equal(t, &jsonevents.Error{Offset: w.offset, Problem: w.problem}, err)
				require.EqualError(t, err, fmt.Sprintf("jsonevents: offset %d: %s", w.offset, w.problem))
			}
		})
	}
}

func TestAPrefixStandsInFrontOfAllKeys(t *testing.T) {
	f := jsonevents.Flattener{Prefix: "order.v1"}
	got, err := f.Flatten([]byte(`{"id":7,"":1,"item":[{"n":2}]}`))
	require.NoError(t, err)
	require.Equal(t, events{"order.v1.id": {"7"}, "order.v1.": {"1"}, "order.v1.item.n": {"2"}}, got)

	f.Keys = jsonevents.KeysOf(query.MustParse("order.v1 EXISTS AND order.v1.item.n = 2 AND id = 7"))
	got, err = f.Flatten([]byte(`{"id":7,"x":{"y":1},"item":[{"n":2,"m":3}]}`))
	require.NoError(t, err)
	require.Equal(t, events{"order.v1.id": {"7"}, "order.v1.item.n": {"2"}}, got)

	f.Prefix = "nobody.asks"
	got, err = f.Flatten([]byte(`{"id":7}`))
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = f.Flatten([]byte(`{"id":7`))
	require.Error(t, err)
}

func TestEventsStayUntilTheNextCallAndTextsIndefinitely(t *testing.T) {
	var f jsonevents.Flattener
	doc := []byte(`{"a":"one","b":{"c":"two"}}`)
	first, err := f.Flatten(doc)
	require.NoError(t, err)
	one, two := first["a"][0], first["b.c"][0]
	for i := range doc {
		doc[i] = 'x'
	}
	require.Equal(t, events{"a": {"one"}, "b.c": {"two"}}, first)
	second, err := f.Flatten([]byte(`{"a":"three"}`))
	require.NoError(t, err)
	require.Equal(t, events{"a": {"three"}}, second)
	require.Equal(t, []string{"one", "two"}, []string{one, two})
}

// Whatever a caller does with the map it has been given, the next is right.
func TestCallersMayChangeTheirEvents(t *testing.T) {
	for _, keys := range []*jsonevents.Keys{nil, jsonevents.KeysOf(query.MustParse("a = 1 AND b = 2 AND c = 3"))} {
		f := jsonevents.Flattener{Keys: keys}
		for range 3 {
			for _, d := range []struct {
				doc  string
				want events
			}{
				{`{"a":1,"b":2}`, events{"a": {"1"}, "b": {"2"}}},
				{`{"a":3,"b":[]}`, events{"a": {"3"}}},
				{`{"a":3}`, events{"a": {"3"}}},
				{`{"b":1,"a":2}`, events{"a": {"2"}, "b": {"1"}}},
				{`{}`, events{}},
				{`{"c":1,"a":[2,3]}`, events{"a": {"2", "3"}, "c": {"1"}}},
				{`{"c":1,"a":[2]}`, events{"a": {"2"}, "c": {"1"}}},
			} {
				for _, change := range []func(events){
					func(events) {},
					func(e events) { e["x"] = []string{"y"} },
					func(e events) { delete(e, "a"); e["x"] = nil; e["c"] = append(e["c"], "z") },
					func(e events) { clear(e) },
				} {
					got, err := f.Flatten([]byte(d.doc))
					require.NoError(t, err)
					require.Equal(t, d.want, got)
					change(got)
				}
				_, err := f.Flatten([]byte(`{"a":[1`))
				require.Error(t, err)
			}
		}
	}
}

func TestLimitsHoldExactly(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	arrays := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}" }
	list := func(n int) string { return `{"a":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]}" }
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d":null`, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	text := func(n int) string { return `{"key":["` + strings.Repeat("x", n-4) + `","y"]}` }
	long := func(n int) string { // the key counts once for each place in which it has a value
		return `{"` + strings.Repeat("x", n/2-3) + `":{"a":1,"b":` + strings.Repeat("2", n%2+1) + `}}`
	}
	for _, limit := range []struct {
		name   string
		doc    func(n int) string
		limits func(n int) jsonevents.Limits
		usual  int
	}{
		{"objects", deep, func(n int) jsonevents.Limits { return jsonevents.Limits{Depth: n} }, 100},
		{"arrays", arrays, func(n int) jsonevents.Limits { return jsonevents.Limits{Depth: n} }, 100},
		{"values", list, func(n int) jsonevents.Limits { return jsonevents.Limits{Values: n} }, 10_000},
		{"keys", names, func(n int) jsonevents.Limits { return jsonevents.Limits{Keys: n} }, 10_000},
		{"bytes of values", text, func(n int) jsonevents.Limits { return jsonevents.Limits{Bytes: n} }, 1 << 20},
		{"bytes of keys", long, func(n int) jsonevents.Limits { return jsonevents.Limits{Bytes: n} }, 1 << 20},
	} {
		for _, n := range []int{10, limit.usual} {
			t.Run(fmt.Sprint(limit.name, " ", n), func(t *testing.T) {
				f := jsonevents.Flattener{Limits: limit.limits(n)}
				if n == limit.usual {
					f.Limits = jsonevents.Limits{Depth: -1}
				}
				for range 2 { // a key that was met in the document before counts as well
					_, err := f.Flatten([]byte(limit.doc(n)))
					require.NoError(t, err)
					_, err = f.Flatten([]byte(limit.doc(n + 1)))
					var e *jsonevents.Error
					require.ErrorAs(t, err, &e)
					require.True(t, e.Limit)
					require.Contains(t, e.Problem, fmt.Sprint(n))
					require.Contains(t, e.Problem, "raise Limits.")
				}
			})
		}
	}
}

// What is passed over is bounded in depth too, and so is the stack, whatever the
// caller asks for.
func TestDepthIsBoundedWhereNothingIsWanted(t *testing.T) {
	for _, open := range []string{`{"a":`, "["} {
		f := jsonevents.Flattener{Keys: &jsonevents.Keys{}, Limits: jsonevents.Limits{Depth: math.MaxInt}}
		_, err := f.Flatten([]byte(`{"b":` + strings.Repeat(open, 1_000_000)))
		var e *jsonevents.Error
		require.ErrorAs(t, err, &e)
		require.True(t, e.Limit)
		require.Contains(t, e.Problem, "10000 deep")
	}
}

func TestStopEarlyReadsNoFurtherThanItMust(t *testing.T) {
	f := jsonevents.Flattener{Keys: jsonevents.KeysOf(query.MustParse("a.b = 1 AND a.c = 2 AND d = 3")), StopEarly: true}
	for doc, want := range map[string]events{
		`{"a":{"x":0,"b":1,"c":2},"d":3, no JSON`:         {"a.b": {"1"}, "a.c": {"2"}, "d": {"3"}},
		`{"d":3,"a":{"c":2,"b":1, no JSON`:                {"a.b": {"1"}, "a.c": {"2"}, "d": {"3"}},
		`{"a":[{"b":1,"c":2},{"b":3,"c":4}],"d":3, no `:   {"a.b": {"1", "3"}, "a.c": {"2", "4"}, "d": {"3"}},
		`{"a":{"b":1,"b":5,"c":2},"d":3,"d":4}`:           {"a.b": {"1", "5"}, "a.c": {"2"}, "d": {"3"}},
		`{"d":3,"a":{"b":1,"b":5,"c":2, no JSON`:          {"a.b": {"1", "5"}, "a.c": {"2"}, "d": {"3"}},
		`{"a":{"b":1},"d":3,"a":{"c":2}}`:                 {"a.b": {"1"}, "d": {"3"}},
		`{"a.b":1,"a":{"b":2,"c":3},"d":4,"a.c":5}`:       {"a.b": {"1", "2"}, "a.c": {"3"}, "d": {"4"}},
		`{"a":{"b":1,"c":2,"x":{"y":[]}},"e":0,"d":[3]}}`: {"a.b": {"1"}, "a.c": {"2"}, "d": {"3"}},
	} {
		got, err := f.Flatten([]byte(doc))
		require.NoError(t, err, doc)
		require.Equal(t, want, got, doc)
	}
	for _, doc := range []string{
		`{"a":{"b":1,"c":2, no JSON},"d":3}`,   // d is to come
		`{"a":[{"b":1,"c":2, no JSON}],"d":3}`, // and here another element
	} {
		_, err := f.Flatten([]byte(doc))
		require.Error(t, err, doc)
	}

	// Which names a type has nobody knows before the end.
	f.Keys = jsonevents.KeysOf(query.MustParse("a EXISTS"))
	_, err := f.Flatten([]byte(`{"a":{"b":1, no JSON`))
	require.Error(t, err)

	f.Keys = nil
	_, err = f.Flatten([]byte(`{"a":1}, no JSON`))
	require.Error(t, err, "all keys are wanted")
}

func TestKeysAreThoseThatQueriesAskFor(t *testing.T) {
	ab, ax, many := query.MustParse("a.b = 1 OR NOT a.b > 2 AND c.d EXISTS"), query.MustParse("a.x = 1"), make([]*query.Query, 20)
	keys := jsonevents.KeysOf(ab, ax)
	for i := range many {
		many[i] = query.MustParse(fmt.Sprintf("a.k%d = 1", i))
		keys.Add(many[i])
	}
	keys.Add(ax)
	wants := func(want bool, all ...string) {
		t.Helper()
		for _, key := range all {
			require.Equal(t, want, keys.Wants(key), key)
		}
	}
	wants(true, "a.b", "a.x", "c.d", "c.d.e", "c.d.", "a.k0", "a.k19")
	wants(false, "", "a", "b", "c", "a.", "a.b.c", "c.d.e.f", "c.d.e.", "a.k20", "a.bb")
	for _, q := range many {
		keys.Remove(q)
	}
	keys.Remove(ax)
	wants(true, "a.b", "a.x", "c.d", "c.d.e")
	wants(false, "a.k0", "a.k19")
	keys.Remove(ax)
	wants(false, "a.x")
	keys.Remove(ab)
	wants(false, "a.b", "c.d", "c.d.e")
	require.Zero(t, keys.Nodes())

	f := jsonevents.Flattener{Keys: keys}
	got, err := f.Flatten([]byte(`{"a":{"b":1}}`))
	require.NoError(t, err)
	require.Empty(t, got, "no keys are not all keys")
}

func TestKeysOfATypeAreLimited(t *testing.T) {
	f := jsonevents.Flattener{Keys: jsonevents.KeysOf(query.MustParse("a EXISTS")), Limits: jsonevents.Limits{Keys: 2}}
	_, err := f.Flatten([]byte(`{"a":{"x":1,"y":1,"x":1},"b":{"u":1,"v":1,"w":1}}`))
	require.NoError(t, err)
	_, err = f.Flatten([]byte(`{"a":{"x":1,"y":1,"z":1}}`))
	require.Equal(t, &jsonevents.Error{Offset: 18, Problem: "more than 2 keys; send less, or raise Limits.Keys", Limit: true}, err)
}

// Documents with names of their own leave little behind, however many come.
func TestNamesThatDoNotComeAgainAreForgotten(t *testing.T) {
	for _, keys := range []*jsonevents.Keys{nil, jsonevents.KeysOf(query.MustParse("a EXISTS"))} {
		f := jsonevents.Flattener{Keys: keys}
		doc := func(i int) []byte {
			return fmt.Appendf(nil, `{"a":{"%d%s":"x"}}`, i, strings.Repeat("y", i%100))
		}
		largest := 0
		for i := range 20_000 {
			_, err := f.Flatten(doc(i))
			require.NoError(t, err)
			if i%50 == 0 {
				largest = max(largest, f.Learned())
			}
		}
		require.LessOrEqual(t, largest, jsonevents.KeptNodes+2)
	}
}

// What an unusual document takes is given back at once, and not with the next,
// for which the caller may wait.
func TestWhatALargeDocumentTookIsGivenBack(t *testing.T) {
	limits := jsonevents.Limits{Values: 1e6, Keys: 1e6, Bytes: 1e9}
	for _, f := range []*jsonevents.Flattener{
		{Limits: limits},
		{Limits: limits, Keys: jsonevents.KeysOf(query.MustParse("a EXISTS OR b = 1"))},
	} {
		var b strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&b, `,"%d":"%d"`, i, i)
		}
		text := strings.Repeat("x", 1_000_000)
		doc := []byte(`{"\n` + text + `":1,"b":["` + text + `"],"a":{` + b.String()[1:] + "}}")
		got, err := f.Flatten(doc)
		require.NoError(t, err)
		require.Less(t, f.Kept(), 10_000)
		require.Less(t, f.Learned(), 10)
		require.Equal(t, []string{"99999"}, got["a.99999"])
		require.Equal(t, []string{text}, got["b"])
		for range 2 {
			got, err = f.Flatten([]byte(`{"b":1}`))
			require.NoError(t, err)
			require.Equal(t, events{"b": {"1"}}, got)
		}
	}
}

// A Flattener and Keys that are not used lead to nothing of what was read.
func TestNothingLeadsToADocumentThatIsDone(t *testing.T) {
	f := jsonevents.Flattener{}
	gone := make(chan struct{})
	func() {
		doc := make([]byte, 1<<20)
		copy(doc, `{"a":1}`)
		for i := len(`{"a":1}`); i < len(doc); i++ {
			doc[i] = ' '
		}
		runtime.AddCleanup(&doc[0], func(struct{}) { close(gone) }, struct{}{})
		_, err := f.Flatten(doc)
		require.NoError(t, err)
	}()
	for range 500 {
		runtime.GC()
		select {
		case <-gone:
			runtime.KeepAlive(&f)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the document is still held")
}

// For every document, with every way to read it, the answer is the model's.
func check(t require.TestingT, f *jsonevents.Flattener, doc []byte, queries []*query.Query) {
	limits := jsonevents.Limits{Depth: 10_000, Values: 1e9, Keys: 1e9, Bytes: 1e9}
	all := model(doc)
	f.Limits = limits
	got, err := f.Flatten(doc)
	require.Equal(t, all, got, "%q: %v", doc, err)
	if err != nil {
		var e *jsonevents.Error
		require.True(t, errors.As(err, &e))
		require.True(t, 0 <= e.Offset && e.Offset <= len(doc), "offset %d of %d", e.Offset, len(doc))
	}
	keys := jsonevents.KeysOf(queries...)
	some := jsonevents.Flattener{Keys: keys, Limits: limits}
	part, err := some.Flatten(doc)
	if all == nil {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	require.Equal(t, wanted(all, queries), part, "%q", doc)
	for key := range all {
		_, is := part[key]
		require.Equal(t, keys.Wants(key), is, "%q in %q", key, doc)
	}
	index := match.New[int]()
	for i, q := range queries {
		index.Add(q, i)
		whole, _ := q.Matches(all)
		partly, _ := q.Matches(part)
		require.Equal(t, whole, partly, "%s in %q", q, doc)
	}
	require.ElementsMatch(t, index.Match(all, nil), index.Match(part, nil), "%q", doc)
	part = maps.Clone(part)
	for key, values := range part {
		part[key] = slices.Clone(values)
	}
	some.StopEarly = true
	early, err := some.Flatten(doc)
	require.NoError(t, err)
	for key, values := range early {
		require.Equal(t, part[key][:min(len(part[key]), len(values))], values, "%q: the first of %q", doc, key)
	}
}

var someQueries = []*query.Query{
	query.MustParse("a.b = 1 AND NOT c CONTAINS 'x'"),
	query.MustParse("a EXISTS OR a.b.c > 5 OR é = 'é'"),
	query.MustParse("a.b EXISTS"),
	query.MustParse("b != 'x' OR b.a. = 2 OR .a EXISTS"),
}

func TestEveryDocumentIsAsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f jsonevents.Flattener
		queries := rapid.SliceOfN(rapid.SampledFrom(someQueries), 0, 4).Draw(t, "queries")
		for range rapid.IntRange(1, 3).Draw(t, "documents") {
			doc := []byte(drawBlanks(t) + drawObject(t, 4) + drawBlanks(t))
			if rapid.IntRange(0, 3).Draw(t, "spoiled") == 0 {
				at := rapid.IntRange(0, len(doc)-1).Draw(t, "at")
				doc[at] = rapid.SampledFrom([]byte("{}[]\",:\\0-e \xffx\x00")).Draw(t, "byte")
			}
			check(t, &f, doc, queries)
		}
	})
}

func drawBlanks(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "", " ", "\n\t", "\r "}).Draw(t, "blanks")
}

func drawObject(t *rapid.T, depth int) string {
	members := make([]string, rapid.IntRange(0, 4).Draw(t, "members"))
	for i := range members {
		name := rapid.SampledFrom([]string{"a", "b", "c", "a.b", "", ".", `\u0061`, `a\u002eb`, "é", "b.a.", "other"}).Draw(t, "name")
		members[i] = drawBlanks(t) + `"` + name + `"` + drawBlanks(t) + ":" + drawValue(t, depth)
	}
	return "{" + strings.Join(members, ",") + drawBlanks(t) + "}"
}

func drawValue(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	value := ""
	switch {
	case kind < 3 && depth > 0:
		value = drawObject(t, depth-1)
	case kind < 5 && depth > 0:
		elements := make([]string, rapid.IntRange(0, 3).Draw(t, "elements"))
		for i := range elements {
			elements[i] = drawValue(t, depth-1)
		}
		value = "[" + strings.Join(elements, ",") + drawBlanks(t) + "]"
	default:
		value = rapid.SampledFrom([]string{
			"0", "1", "-1.50", "1e5", "12345678", "123456789.000000001E-77", "01", "-", "1.", "true", "false", "null", "nul",
			`""`, `"x"`, `"é"`, `"12345678"`, `"1234567\n"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\u00zz"`, `"\x"`, "\"\t\"", "\"\xff\"", `"日本語日本語"`, `"`,
		}).Draw(t, "scalar")
	}
	return drawBlanks(t) + value + drawBlanks(t)
}

func FuzzFlatten(f *testing.F) {
	for _, d := range documents {
		f.Add([]byte(d.doc))
	}
	for _, w := range wrong {
		f.Add([]byte(w.doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var flattener jsonevents.Flattener
		check(t, &flattener, doc, someQueries)
		check(t, &flattener, doc, someQueries)
	})
}
