package codec

import (
	"encoding/json"
	"runtime"
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
