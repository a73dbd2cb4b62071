package pubsub

import (
	"context"
	"fmt"
	"iter"
	"reflect"
)

// A TypeError says that a message carried data of another type than expected.
type TypeError struct {
	Message Message
	Want    reflect.Type
}

// Error names both types.
func (e *TypeError) Error() string {
	return fmt.Sprintf("pubsub: publication %d carries %T, not %v", e.Message.Sequence(), e.Message.Data(), e.Want)
}

// DataOf iterates over the data of the messages of a subscription, which are
// all to be of type T; nil is of every interface type. It ends with one error:
// a *TypeError at the first message that carries something else, or the error
// of Next.
func DataOf[T any](ctx context.Context, sub *Subscription) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for m, err := range sub.Messages(ctx) {
			data, ok := m.Data().(T)
			if err == nil && !ok {
				err = typeError[T](m)
			}
			if !yield(data, err) || err != nil {
				return
			}
		}
	}
}

// typeError says that data is no T, unless it is the nil of an interface type,
// which a type assertion does not take.
func typeError[T any](m Message) error {
	want := reflect.TypeFor[T]()
	if m.Data() == nil && want.Kind() == reflect.Interface {
		return nil
	}
	return &TypeError{Message: m, Want: want}
}
