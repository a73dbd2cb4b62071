package pubsub_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
)

func TestDataOfEndsAtTheFirstOfAnotherType(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	for _, data := range []any{"a", "b", 3, "d"} {
		publish(t, server, data)
	}
	var all []string
	var errs []error
	for data, err := range pubsub.DataOf[string](ctx, sub) {
		if err != nil {
			require.Empty(t, data)
			errs = append(errs, err)
			continue
		}
		all = append(all, data)
	}
	require.Equal(t, []string{"a", "b"}, all)
	require.Len(t, errs, 1, "the error comes once and last")
	var wrong *pubsub.TypeError
	require.ErrorAs(t, errs[0], &wrong)
	require.Equal(t, reflect.TypeFor[string](), wrong.Want)
	require.Equal(t, 3, wrong.Message.Data())
	require.EqualError(t, wrong, "pubsub: publication 3 carries int, not string")
	require.Equal(t, "d", next(t, sub), "the subscription lives")
}

func TestDataOfEndsWithTheReason(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	publishN(t, server, 1, 2)
	for data, err := range pubsub.DataOf[int](ctx, sub) {
		require.NoError(t, err)
		require.Equal(t, 1, data)
		break // does not unsubscribe
	}
	require.NoError(t, sub.Err())
	for _, err := range pubsub.DataOf[int](done, sub) {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.NoError(t, server.Stop())
	var last error
	n := 0
	for _, err := range pubsub.DataOf[int](ctx, sub) {
		n++
		last = err
	}
	require.Equal(t, 2, n)
	require.Equal(t, pubsub.ErrServerStopped, last)
}

// T may be an interface, of which nil data is the nil.
func TestDataOfAnInterface(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	for _, data := range []any{context.Canceled, nil, 1} {
		publish(t, server, data)
	}
	var all []error
	for data, err := range pubsub.DataOf[error](ctx, sub) {
		if err != nil {
			require.ErrorContains(t, err, "carries int, not error")
			break
		}
		all = append(all, data)
	}
	require.Equal(t, []error{context.Canceled, nil}, all)
}

func TestNilIsNoDataOfATypeThatIsNoInterface(t *testing.T) {
	server := newServer(t)
	sub := subscribe(t, server, "c", "", 10, pubsub.Cancel)
	publish(t, server, nil)
	for _, err := range pubsub.DataOf[*int](ctx, sub) {
		require.EqualError(t, err, "pubsub: publication 1 carries <nil>, not *int")
	}
}
