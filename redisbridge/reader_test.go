package redisbridge

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/codec"
)

// A keeper keeps every other publication.
type keeper struct {
	gapLog
	odd  bool
	kept []any
	took chan struct{}
}

func (k *keeper) receive(_ context.Context, r *Received) error {
	if k.odd = !k.odd; k.odd {
		k.kept = append(k.kept, r.Data)
	}
	k.took <- struct{}{}
	return nil
}

func (k *keeper) gap(_ context.Context, g Gap, _ position)  { k.add(g) }
func (*keeper) waiting(int, entryID) (frames, oldest int64) { return 0, 0 }

func (k *keeper) passed(int, position) {}

// Whoever keeps a small publication does not keep the large ones that came in
// one frame with it, whatever their type.
func TestSmallPublicationDoesNotHoldItsFrame(t *testing.T) {
	const frames, large = 64, 128 << 10
	for c, labels := range map[codec.Codec][]string{
		codec.Binary: {"bytes", "json", "json:Unknown", "own:Unknown"}, codec.Protobuf: {"bytes"}, codec.JSON: {"bytes"},
	} {
		for _, label := range labels {
			t.Run(fmt.Sprint(c.ID(), " ", label), func(t *testing.T) {
				m := must(newMember(Options{Redis: optionOf("nowhere:1"), Namespace: "small"}))
				k := &keeper{took: make(chan struct{})}
				in := newInbound(m, 0, k)
				ended := make(chan struct{})
				go func() { defer close(ended); in.run() }()
				before := memoryInUse()
				for i := range frames {
					h := header{kind: kindEvents, codec: c.ID(), first: uint64(2*i + 1), stamp: m.clock.at(time.Now()), epoch: 1, name: "x", namespace: "small"}
					f := appendHeader(nil, &h)
					for _, e := range []codec.Event{{Type: label, Data: []byte(`"tiny"`)}, {Type: "bytes", Data: make([]byte, large)}} {
						f = beginEvent(f)
						begun := len(f)
						f = must(c.Append(f, &e))
						endEvent(f, begun)
					}
					require.NoError(t, in.inbox.put(background(), arrival{frame: string(finish(f, 2, nil))}))
					<-k.took
					<-k.took
				}
				m.cancel(ErrClosed)
				<-ended
				require.Len(t, k.kept, frames)
				require.Less(t, memoryInUse()-before, frames*large/2)
				require.NotEmpty(t, k.kept)
			})
		}
	}
}

// What waits for Next is counted with all that it holds: a million values
// without text are not nothing.
func TestWhatWaitsForNextIsCountedAsItIsHeld(t *testing.T) {
	m := must(newMember(Options{Redis: optionOf("nowhere:1")}))
	r := readerSink{&Reader{member: m, ahead: newAhead(&m.opt)}}
	many := func() *Received {
		return &Received{Events: map[string][]string{"k": make([]string, aheadBytes/valueSize/2)}}
	}
	require.NoError(t, r.receive(background(), many()))
	full, cancel := context.WithCancel(background())
	cancel()
	require.NoError(t, r.receive(full, &Received{}))
	require.ErrorIs(t, r.receive(full, many()), context.Canceled)
	require.Equal(t, 2, r.ahead.len())
}
