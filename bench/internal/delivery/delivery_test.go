package delivery_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/bench/internal/delivery"
)

var kinds = []delivery.Kind{
	delivery.Raw, delivery.RawSelect, delivery.Hark, delivery.HarkBatch, delivery.HarkMessages, delivery.HarkOut,
	delivery.CometBFT, delivery.Cskr, delivery.NATS, delivery.Watermill,
}

var events = []map[string][]string{{"tm.event": {"Tx"}}}

// A contender checks what its readers got after every sample.
func TestEveryBusDeliversEverything(t *testing.T) {
	for _, kind := range kinds {
		for _, capacity := range []int{1, 64} {
			t.Run(fmt.Sprintf("%s/capacity=%d", kind.Name, capacity), func(t *testing.T) {
				p, err := delivery.NewPump(kind, 3, capacity, events)
				require.NoError(t, err)
				for range 3 {
					_, err := p.Contender().Sample(10)
					require.NoError(t, err)
				}
				require.NoError(t, p.Close())
			})
		}
	}
}

// A lossy bus forgets every third item, and hands out two others the wrong
// way round.
type lossy struct {
	readers []*delivery.Reader
	forget  bool
	kept    []uint64
}

func (b *lossy) Publish(item *delivery.Item) error {
	b.kept = append(b.kept, item.Number)
	if len(b.kept) < 3 {
		return nil
	}
	for _, r := range b.readers {
		r.Got(b.kept[0])
		if b.forget {
			r.Got(b.kept[0])
		} else {
			r.Got(b.kept[2])
		}
		r.Got(b.kept[1])
	}
	b.kept = b.kept[:0]
	return nil
}

func (b *lossy) Close() error { return nil }

func TestMistakesOfABusAreFound(t *testing.T) {
	sample := func(forget, unordered bool) error {
		p, err := delivery.NewPump(delivery.Kind{Unordered: unordered, Open: func(readers []*delivery.Reader, _ int) (delivery.Bus, error) {
			return &lossy{readers: readers, forget: forget}, nil
		}}, 2, 6, events)
		require.NoError(t, err)
		_, err = p.Contender().Sample(4)
		return err
	}
	require.NoError(t, sample(false, true))
	require.ErrorContains(t, sample(false, false), "out of order")
	require.ErrorContains(t, sample(true, true), "did not get each item once")
}

func BenchmarkHark(b *testing.B) {
	for _, kind := range []delivery.Kind{delivery.Raw, delivery.Hark, delivery.HarkBatch} {
		for _, m := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("%s/readers=%d", kind.Name, m), func(b *testing.B) {
				p, err := delivery.NewPump(kind, m, 1024, events)
				require.NoError(b, err)
				cost, err := p.Contender().Sample(b.N)
				require.NoError(b, err)
				b.ReportMetric(cost, "ns/publication")
				require.NoError(b, p.Close())
			})
		}
	}
}
