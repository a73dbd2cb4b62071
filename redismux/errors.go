package redismux

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by every use of a closed subscription.
	ErrClosed = errors.New("redismux: subscription is closed")

	// ErrRunning is returned by Restart of a Multiplexer that was not stopped.
	ErrRunning = errors.New("redismux: multiplexer is running")

	// ErrStopped is what OnDisconnect gets when the Multiplexer is stopped.
	ErrStopped = errors.New("redismux: multiplexer was stopped")

	// ErrOverflow is what OnDisconnect gets when callbacks were too slow: a
	// message did not fit into the buffer.
	ErrOverflow = errors.New("redismux: callbacks are too slow, the buffer of messages is full")

	// ErrInactiveSubscription is returned by NewPromise while messages to the
	// promise could be missed.
	ErrInactiveSubscription = errors.New("redismux: subscription is not active")

	// ErrSlotMoved is what OnError gets for a sharded channel whose slot went
	// to another node. OnActivation follows as soon as it is found there.
	ErrSlotMoved = errors.New("redismux: the slot of the channel moves to another node")

	// ErrEmptyPattern is what OnError gets for the pattern "", which Redis
	// takes but whose messages cannot be told from those of channels.
	ErrEmptyPattern = errors.New("redismux: a pattern must not be empty")

	// ErrTimeout is why a promise failed that was not fulfilled in time. It is
	// a context.DeadlineExceeded.
	ErrTimeout = fmt.Errorf("redismux: promise timed out: %w", context.DeadlineExceeded)

	// ErrCanceled is why a promise failed that was canceled. It is a
	// context.Canceled.
	ErrCanceled = fmt.Errorf("redismux: promise was canceled: %w", context.Canceled)
)
