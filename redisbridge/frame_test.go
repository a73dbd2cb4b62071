package redisbridge

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub/codec"
)

var testGate = gate{namespace: "shop", maxFrame: DefaultMaxFrame}

func testHeader() header {
	return header{kind: kindEvents, codec: 1, partition: 3, count: 2, first: 42, stamp: 1767323045000123, epoch: 7, name: "a", namespace: "shop"}
}

// testFrame returns a frame with two events of nonsense.
func testFrame(h header, sign *Key) []byte {
	f := appendHeader(nil, &h)
	for _, event := range []string{"first", "second"} {
		f = beginEvent(f)
		begun := len(f)
		f = append(f, event...)
		endEvent(f, begun)
	}
	return finish(f, 2, sign)
}

func testKey(id uint8, secret string) Key {
	return prepare([]Key{{ID: id, Secret: bytes.Repeat([]byte(secret), minSecret)}})[0]
}

func TestFrameComesBackAsItWas(t *testing.T) {
	key := testKey(5, "k")
	for name, c := range map[string]struct {
		sign *Key
		gate gate
	}{
		"unsigned":                {nil, testGate},
		"signed":                  {&key, gate{namespace: "shop", maxFrame: DefaultMaxFrame, keys: []Key{testKey(4, "x"), key}}},
		"signed, and nobody asks": {&key, testGate},
	} {
		t.Run(name, func(t *testing.T) {
			h, payload, err := c.gate.open(string(testFrame(testHeader(), c.sign)), 3)
			require.NoError(t, err)
			require.Equal(t, testHeader(), h)
			first, rest, err := cutEvent(payload)
			require.NoError(t, err)
			require.Equal(t, "first", string(first))
			second, rest, err := cutEvent(rest)
			require.NoError(t, err)
			require.Equal(t, "second", string(second))
			require.Empty(t, rest)
		})
	}
}

// The layout is a promise to other programs: this frame must never change.
func TestFrameHasItsDocumentedLayout(t *testing.T) {
	require.Equal(t, "486b0201000100004156884500030002000000000000002a0000000000000007"+
		"0006475ef64cf3bb"+"0000"+"0161"+"0473686f70"+"000000056669727374"+"000000067365636f6e64", hexOf(testFrame(testHeader(), nil)))
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s []byte
	for _, c := range b {
		s = append(s, digits[c>>4], digits[c&15])
	}
	return string(s)
}

func TestForgedFrameIsRefused(t *testing.T) {
	ours := testKey(5, "k")
	theirs := testKey(5, "z")
	other := testKey(6, "k")
	g := gate{namespace: "shop", maxFrame: DefaultMaxFrame, keys: []Key{ours}}
	unflagged := testFrame(testHeader(), &ours)
	unflagged[4] &^= flagSigned
	for name, frame := range map[string][]byte{
		"no MAC":                testFrame(testHeader(), nil),
		"a wrong key":           testFrame(testHeader(), &theirs),
		"an unknown key":        testFrame(testHeader(), &other),
		"the MAC cut off":       testFrame(testHeader(), &ours)[:len(testFrame(testHeader(), &ours))-macSize],
		"not said to be signed": unflagged,
	} {
		_, _, err := g.open(string(frame), 3)
		require.ErrorIs(t, err, errUnsigned, name)
	}
}

func TestFrameOfSomebodyElseIsRefused(t *testing.T) {
	frame := string(testFrame(testHeader(), nil))
	_, _, err := testGate.open(frame, 2)
	require.ErrorIs(t, err, errForeign)

	other := gate{namespace: "shop2", maxFrame: DefaultMaxFrame}
	_, _, err = other.open(frame, 3)
	require.ErrorIs(t, err, errForeign)

	small := gate{namespace: "shop", maxFrame: len(frame) - macSize - 1}
	_, _, err = small.open(frame, 3)
	require.ErrorIs(t, err, errOversized)

	newer := []byte(frame)
	newer[2]++
	_, _, err = testGate.open(string(newer), 3)
	require.ErrorIs(t, err, errVersion)

	h := testHeader()
	h.first = 1 << 60
	_, _, err = testGate.open(string(testFrame(h, nil)), 3)
	require.ErrorIs(t, err, errMalformed)
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	key := testKey(5, "k")
	for _, sign := range []*Key{nil, &key} {
		frame := testFrame(testHeader(), sign)
		g := testGate
		if sign != nil {
			g.keys = []Key{key}
		}
		for i := range len(frame) * 8 {
			flipped := bytes.Clone(frame)
			flipped[i/8] ^= 1 << (i % 8)
			_, _, err := g.open(string(flipped), 3)
			require.Error(t, err, "bit %d", i)
		}
	}
}

func TestTruncatedFrameIsRefused(t *testing.T) {
	frame := testFrame(testHeader(), nil)
	for n := range frame {
		_, _, err := testGate.open(string(frame[:n]), 3)
		require.Error(t, err, "%d bytes", n)
	}
}

func TestFrameRoundTripsForAnyHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := header{
			kind:      kindEvents,
			codec:     rapid.Uint8().Draw(t, "codec"),
			partition: rapid.Uint16().Draw(t, "partition"),
			count:     2,
			first:     rapid.Uint64Range(1, 1<<53).Draw(t, "first"),
			stamp:     rapid.Int64().Draw(t, "stamp"),
			epoch:     rapid.Uint64().Draw(t, "epoch"),
			name:      rapid.StringN(0, -1, maxName).Draw(t, "name"),
			namespace: rapid.StringN(0, -1, maxNamespace).Draw(t, "namespace"),
		}
		g := gate{namespace: h.namespace, maxFrame: DefaultMaxFrame}
		got, _, err := g.open(string(testFrame(h, nil)), h.partition)
		if err != nil || got != h {
			t.Fatalf("%+v became %+v, %v", h, got, err)
		}
	})
}

// FuzzFrame opens any bytes, and the same with a right checksum, and decodes
// all events in them.
func FuzzFrame(f *testing.F) {
	for _, c := range []codec.Codec{codec.Binary, codec.Protobuf, codec.JSON} {
		h := testHeader()
		h.codec = c.ID()
		frame := beginEvent(appendHeader(nil, &h))
		begun := len(frame)
		frame, _ = c.Append(frame, &codec.Event{Time: time.Unix(1767323045, 6), Events: map[string][]string{"tm.event": {"Tx"}}, Type: "json", Data: []byte(`{"b": 1}`)})
		endEvent(frame, begun)
		f.Add(finish(frame, 1, nil))
	}
	f.Add(testFrame(testHeader(), nil))
	all := codec.SetWith(codec.Binary)
	types := codec.NewRegistry()
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeAll(b, &all, types)
		if len(b) > headerSize {
			binary.BigEndian.PutUint32(b[checksumAt:], checksum(b))
			decodeAll(b, &all, types)
		}
	})
}

func decodeAll(b []byte, all *codec.Set, types *codec.Registry) {
	h, payload, err := testGate.open(string(b), 3)
	if err != nil {
		return
	}
	c, err := all.Find(h.codec)
	if err != nil {
		return
	}
	for range h.count {
		var raw []byte
		if raw, payload, err = cutEvent(payload); err != nil {
			return
		}
		var e codec.Event
		if c.Decode(raw, &e) == nil {
			_, _ = types.Decode(e.Type, e.Data)
		}
	}
}
