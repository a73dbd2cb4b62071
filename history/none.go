package history

import (
	"context"
	"iter"

	"github.com/harkbus/pubsub"
)

// None is a History that keeps nothing, for servers whose clients cannot come
// back.
type None struct{}

var _ History = None{}

// Append implements History.
func (None) Append(pubsub.Message) {}

// Cursor implements History.
func (None) Cursor(sequence uint64) Cursor { return Cursor{Major: sequence} }

// Bounds implements History.
func (None) Bounds() (oldest, newest Cursor) { return Cursor{}, Cursor{} }

// Read implements History.
func (None) Read(Cursor) iter.Seq2[Entry, error] { return noEntries }

// Backward implements History.
func (None) Backward(Cursor) iter.Seq2[Entry, error] { return noEntries }

// Await implements History: what is not kept need not be waited for.
func (None) Await(ctx context.Context, _ Cursor) error { return ctx.Err() }

func noEntries(func(Entry, error) bool) {}
