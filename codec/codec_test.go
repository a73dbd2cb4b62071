package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"
)

var hark = map[string]Codec{"binary": Binary, "protobuf": Protobuf, "json": JSON}

var testEvents = []Event{
	{
		Time:   time.Unix(1767323045, 6),
		Events: map[string][]string{"tm.event": {"Tx"}, "transfer.amount": {"7uatom", "80uatom", ""}, "none": {}},
		Type:   labelJSON,
		Data:   []byte(`{"b": 1, "a":  [2] }`),
	},
	{Time: time.Unix(0, 0), Events: map[string][]string{}, Type: labelBytes, Data: []byte{0, 255}},
	{Time: time.Unix(-1, 5), Events: map[string][]string{"": {""}}, Type: "json:Order", Data: []byte(`null`)},
}

func TestCodecKeepsEvents(t *testing.T) {
	for name, codec := range hark {
		for _, e := range testEvents {
			b, err := codec.Append([]byte("before"), &e)
			require.NoError(t, err, name)
			require.Equal(t, "before", string(b[:6]), name)
			var got Event
			require.NoError(t, codec.Decode(b[6:], &got), name)
			require.True(t, e.Time.Equal(got.Time), name)
			require.Equal(t, e.Type, got.Type, name)
			require.Equal(t, string(e.Data), string(got.Data), name)
			require.Len(t, got.Events, len(e.Events), name)
			for key, values := range e.Events {
				require.ElementsMatch(t, values, got.Events[key], "%s %s", name, key)
			}
		}
	}
}

func TestBinaryAndProtobufCarryAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		anyString := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) })
		e := Event{
			Time:   time.Unix(0, rapid.Int64().Draw(t, "time")),
			Events: rapid.MapOfN(anyString, rapid.SliceOfN(anyString, 1, 4), 0, 5).Draw(t, "events"),
			Type:   labelBytes,
			Data:   rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
		}
		for _, codec := range []Codec{Binary, Protobuf} {
			b, err := codec.Append(nil, &e)
			require.NoError(t, err)
			var got Event
			require.NoError(t, codec.Decode(b, &got))
			require.True(t, e.Time.Equal(got.Time))
			require.Equal(t, string(e.Data), string(got.Data))
			require.Len(t, got.Events, len(e.Events)) // none may be nil
			for key, values := range e.Events {
				require.Equal(t, values, got.Events[key])
			}
		}
	})
}

func TestJSONCodecRefusesWhatIsNotUTF8(t *testing.T) {
	_, err := JSON.Append(nil, &Event{Events: map[string][]string{"a": {"\xff"}}})
	require.ErrorContains(t, err, "UTF-8")
}

func TestEveryCodecKeepsDataByteForByteOrRefusesIt(t *testing.T) {
	types := NewRegistry()
	for _, in := range []any{
		json.RawMessage("{\"a\":1}\n"), json.RawMessage(" 1"), json.RawMessage("1\t"), json.RawMessage("\r\n"), json.RawMessage("\"\xff\""),
		json.RawMessage(""), json.RawMessage("null"), json.RawMessage("not JSON"), Raw{Type: "Order", Encoding: EncodingJSON, Data: []byte(" 1 ")},
	} {
		for name, codec := range hark {
			label, data, err := types.Append(nil, in)
			require.NoError(t, err)
			b, err := codec.Append(nil, &Event{Type: label, Data: data})
			require.NoError(t, err, name)
			var e Event
			require.NoError(t, codec.Decode(b, &e), name)
			require.Equal(t, label, e.Type, name)
			require.Equal(t, string(data), string(e.Data), "%s %q", name, data)
		}
	}
	_, err := JSON.Append(nil, &Event{Type: "json:\xff", Data: []byte("1")})
	require.ErrorContains(t, err, "UTF-8")
	_, _, err = types.Append(nil, Raw{Type: "b", Encoding: "a:", Data: []byte("1")})
	require.ErrorContains(t, err, "colon", "it would arrive under another name")
}

// A few bytes that claim to be a lot must not make the decoder take memory.
func TestDecodingTakesMemoryInProportionToItsInput(t *testing.T) {
	huge := []byte{0, 0, 0, 0, 0, 0, 0, 0, // time
		1, 'x', // type
		14, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1, 1} // attributes
	var e Event
	require.Error(t, Binary.Decode(huge, &e))

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 1000 {
		_ = Binary.Decode(huge, &e)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1000*64*len(huge)))
}

type order struct{ ID, Amount int }

func TestRegisteredTypeArrivesAsItself(t *testing.T) {
	r := NewRegistry()
	require.NoError(t, Register[order](r, "order"))
	require.NoError(t, Register[*order](r, "order pointer"))
	require.NoError(t, RegisterProto[*durationpb.Duration](r))

	for _, data := range []any{
		nil, []byte("x"), "text", true, 7, int64(-7), uint64(7), 1.5, json.RawMessage(`{"a": 1}`),
		Raw{Type: "elsewhere", Encoding: "own", Data: []byte("abc")}, order{1, 2}, &order{3, 4},
	} {
		label, b, err := r.Append(nil, data)
		require.NoError(t, err)
		got, err := r.Decode(label, b)
		require.NoError(t, err)
		require.Equal(t, data, got, label)
	}

	label, b, err := r.Append(nil, durationpb.New(time.Minute))
	require.NoError(t, err)
	require.Equal(t, "proto:google.protobuf.Duration", label)
	got, err := r.Decode(label, b)
	require.NoError(t, err)
	require.Equal(t, time.Minute, got.(*durationpb.Duration).AsDuration())
}

func TestUnknownTypeArrivesAsRawBytesWithItsName(t *testing.T) {
	sender, receiver := NewRegistry(), NewRegistry()
	require.NoError(t, Register[order](sender, "order"))
	label, b, err := sender.Append(nil, order{1, 2})
	require.NoError(t, err)
	got, err := receiver.Decode(label, b)
	require.NoError(t, err)
	require.Equal(t, Raw{Type: "order", Encoding: EncodingJSON, Data: []byte(`{"ID":1,"Amount":2}`)}, got)

	asJSON, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, `{"ID":1,"Amount":2}`, string(asJSON), "JSON stays JSON")
}

func TestUnregisteredTypeIsSentAsJSON(t *testing.T) {
	label, b, err := NewRegistry().Append(nil, order{1, 2})
	require.NoError(t, err)
	got, err := NewRegistry().Decode(label, b)
	require.NoError(t, err)
	require.Equal(t, json.RawMessage(`{"ID":1,"Amount":2}`), got)

	_, _, err = NewRegistry().Append(nil, make(chan int))
	require.ErrorContains(t, err, "chan int")
}

func TestRegistryRefusesWhatIsAmbiguous(t *testing.T) {
	r := NewRegistry()
	require.NoError(t, Register[order](r, "order"))
	require.Error(t, Register[order](r, "again"))
	require.Error(t, Register[*order](r, "order"))
	require.Error(t, Register[string](r, "text"))
	require.Error(t, Register[error](r, "error"))
	require.Error(t, Register[struct{}](r, ""))
}

func FuzzCodecs(f *testing.F) {
	for _, codec := range hark {
		for _, e := range testEvents {
			b, _ := codec.Append(nil, &e)
			f.Add(codec.ID(), b)
		}
	}
	all := SetWith(Binary)
	f.Fuzz(func(t *testing.T, id uint8, b []byte) {
		codec, err := all.Find(id)
		if err != nil {
			return
		}
		var e, again Event
		if codec.Decode(b, &e) != nil {
			return
		}
		out, err := codec.Append(nil, &e)
		if err != nil {
			return // JSON: not UTF-8
		}
		require.NoError(t, codec.Decode(out, &again))
		require.Equal(t, string(e.Data), string(again.Data))
		require.Len(t, again.Events, len(e.Events))
	})
}

// What a stranger can make of few bytes: many keys, many values, many claims.
func TestDecodingTakesAtMost64TimesItsInput(t *testing.T) {
	uvarint := func(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }
	inBinary := func(keys, values int, attributes []byte) []byte {
		attributes = append(uvarint(uvarint(nil, keys), values), attributes...)
		return append(uvarint(make([]byte, 9), len(attributes)), attributes...)
	}
	const n = 1 << 16
	var binaryKeys, protobufKeys, jsonKeys, protobufAttributes []byte
	for i := range n - 1 {
		binaryKeys = append(binaryKeys, 2, byte(i), byte(i>>8), 0)
		protobufKeys = append(protobufKeys, 3<<3|2, 4, 1<<3|2, 2, byte(i), byte(i>>8))
		protobufAttributes = append(protobufAttributes, 3<<3|2, 2, 2<<3|2, 0)
		jsonKeys = append(jsonKeys, fmt.Sprintf(`"%x":[],`, i)...)
	}
	jsonOf := func(events []byte) []byte { return fmt.Appendf(nil, `{"events":{%s"":[]}}`, events) }
	for name, c := range map[string]struct {
		codec Codec
		src   []byte
	}{
		"binary, keys claimed":       {Binary, inBinary(1024, 0, make([]byte, 1024))},
		"binary, few keys claimed":   {Binary, inBinary(64, 0, make([]byte, 128))},
		"binary, values claimed":     {Binary, inBinary(1, n, make([]byte, n))},
		"binary, empty values":       {Binary, inBinary(1, n, append(uvarint([]byte{0}, n), make([]byte, n)...))},
		"binary, keys":               {Binary, inBinary(n-1, 0, binaryKeys)},
		"protobuf, keys":             {Protobuf, protobufKeys},
		"protobuf, empty values":     {Protobuf, append(uvarint([]byte{3<<3 | 2}, 2*n), bytes.Repeat([]byte{2<<3 | 2, 0}, n)...)},
		"protobuf, attributes":       {Protobuf, protobufAttributes},
		"json, keys":                 {JSON, jsonOf(jsonKeys)},
		"json, empty values":         {JSON, jsonOf([]byte(`"a":[` + strings.Repeat(`"",`, n) + `""],`))},
		"json, keys that are passed": {JSON, fmt.Appendf(nil, `{%s"":[]}`, jsonKeys)},
		"json, deep":                 {JSON, []byte(`{"data":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = c.codec.Decode(c.src, new(Event))
		runtime.ReadMemStats(&after)
		times := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(c.src))
		t.Logf("%s: %.1f times", name, times)
		require.Less(t, times, 64.0, name)
	}
}

// What two programs could read in two ways is refused.
func TestKeyThatComesTwiceIsRefused(t *testing.T) {
	var e Event
	for _, src := range []string{
		`{"events":{"a":["1"]},"events":{"a":["2"]}}`, `{"events":{"a":["1"],"a":["2"]}}`, `{"type":"json","type":"json"}`,
		`{"data":1,"data":1}`, `{"other":1,"other":1}`, `{"events":{}} {}`, `[]`, `{"events":[]}`, `{"events":{"a":1}}`, `{"type":"json"`, `1`, ``,
	} {
		require.Error(t, JSON.Decode([]byte(src), &e), src)
	}
	twoKeys := append(make([]byte, 9), 8, 2, 0, 1, 'a', 0, 1, 'a', 0)
	require.ErrorContains(t, Binary.Decode(twoKeys, &e), "twice")
	twoKeys[len(twoKeys)-2] = 'b'
	require.NoError(t, Binary.Decode(twoKeys, &e))
}

func TestKeysOfJSONAreInOneLetterCase(t *testing.T) {
	var e Event
	require.NoError(t, JSON.Decode([]byte(`{"EVENTS":{"a":["1"]},"TYPE":"int","Data":7,"tyPe":"bytes","Bytes":"AA=="}`), &e))
	require.Empty(t, e)
	require.NoError(t, JSON.Decode([]byte(`{"events":{"a":["1"],"A":["2"]},"Events":{"a":["3"]},"type":"json","data": 1 }`), &e))
	require.Equal(t, Event{Events: map[string][]string{"a": {"1"}, "A": {"2"}}, Type: "json", Data: []byte("1")}, e)
}
