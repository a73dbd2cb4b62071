package history

import (
	"context"
	"iter"

	"github.com/harkbus/pubsub"
)

// A History keeps publications for those who come back. [Window] keeps the
// last ones in memory; a log on disk keeps more, and keeps them over a restart.
// Its methods may be called from any goroutine.
type History interface {
	// Append adds a publication. It is called once for each publication of the
	// bus, in the order of Sequence, on the path of all publications: it must
	// return soon.
	Append(m pubsub.Message)

	// Cursor returns the place just after the publication with a Sequence that
	// this process gave, whether it has been appended or not.
	Cursor(sequence uint64) Cursor

	// Bounds returns the places just before the oldest publication that is
	// kept and just after the newest. They are equal if there is none.
	Bounds() (oldest, newest Cursor)

	// Read iterates over the publications after a cursor, oldest first, up to
	// the newest there is when the iterator gets there. Where some are missing
	// it yields a Gap instead of them.
	Read(after Cursor) iter.Seq2[Entry, error]

	// Backward iterates over the publications before a cursor, newest first,
	// down to the oldest that is kept.
	Backward(before Cursor) iter.Seq2[Entry, error]

	// Await returns when the publication at c has been appended, at once if c
	// is a place that nothing will be appended at, or with the error of ctx.
	Await(ctx context.Context, c Cursor) error
}

// An Entry is what a History has at one place: a publication, or a gap.
type Entry struct {
	Cursor  Cursor // just after it
	Message pubsub.Message
	Gap     *Gap // if not nil, there is no message
}
