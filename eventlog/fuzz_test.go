package eventlog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/store"
)

// Whatever is in a record whose checksum is right, it is read or refused.
func FuzzRecord(f *testing.F) {
	types := codec.NewRegistry()
	body, err := encodePublication(types, &pubsub.PublishArgs{Data: 7, Events: map[string][]string{"a": {"1"}}, Origin: &pubsub.Origin{Name: "b", Epoch: 3}})
	require.NoError(f, err)
	var b store.Batch
	for _, r := range []record{{kind: kindPublication, body: body}, {kind: kindDropped, body: droppedBody(3)}, {kind: kindLost}} {
		b.Reset()
		r.offset = 9
		r.put(&b)
		for o := range b.All() {
			f.Add(o.Value[4:])
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		key := recordKey(9)
		r, err := decodeRecord(store.Pair{Key: key, Value: seal(key, append(make([]byte, 4), value...))})
		if err != nil {
			return
		}
		require.EqualValues(t, 9, r.offset)
		require.LessOrEqual(t, r.first(), r.offset)
		_, _ = decodePublication(types, r.body)
	})
}
