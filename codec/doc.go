// Package codec turns publications into bytes and back: for the bridge, the
// event log, the queue and the encoder of streams alike, so that a Go type is
// registered once and has one name everywhere.
//
//	types := codec.NewRegistry()
//	err := codec.Register[Order](types, "Order")
//	…
//	label, data, err := types.Append(nil, Order{ID: 1})       // "json:Order", {"ID":1}
//	raw, err := codec.Binary.Append(nil, &codec.Event{Time: now, Events: events, Type: label, Data: data})
//	…
//	var e codec.Event
//	err = codec.Binary.Decode(raw, &e)
//	order, err := types.Decode(e.Type, e.Data)                // an Order again
//
// # Types
//
// A Registry knows nil, []byte, string, bool, int, int64, uint64, float64,
// json.RawMessage and Raw, which arrive as they are. A type that is registered
// on both sides arrives as itself: an Order as an Order, an *Order as an *Order
// where both are registered, each under a name of its own. Where it is
// registered by the sender alone it arrives as a Raw with its name; where it is
// not registered by the sender it is sent as JSON and arrives as
// json.RawMessage. What cannot be encoded is an error of Append.
//
// # Bounds
//
// Decoding an event takes at most 64 times its input and 4 KiB, whatever that
// claims to hold, for events of nothing but empty values or tiny keys; others take
// a few times. Types of users take what their decoders do. It never panics: codecs and types of users are guarded.
package codec
