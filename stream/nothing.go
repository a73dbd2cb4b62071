package stream

import (
	"context"
	"iter"

	"github.com/harkbus/pubsub"
)

// nothing is a History that keeps nothing, for a server whose clients cannot
// come back.
type nothing struct{}

var _ History = nothing{}

func (nothing) Append(pubsub.Message)                     {}
func (nothing) Cursor(sequence uint64) Cursor             { return Cursor{0, sequence} }
func (nothing) Bounds() (oldest, newest Cursor)           { return Cursor{}, Cursor{} }
func (nothing) Read(Cursor) iter.Seq2[Entry, error]       { return noEntries }
func (nothing) Backward(Cursor) iter.Seq2[Entry, error]   { return noEntries }
func (nothing) Await(ctx context.Context, _ Cursor) error { return ctx.Err() }
func noEntries(func(Entry, error) bool)                   {}
