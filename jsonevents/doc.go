// Package jsonevents flattens JSON documents to events, so that queries find any
// JSON: a line of a log, the body of a webhook.
//
//	{"level":"error","http":{"status":502,"tags":["a","b"]},"user":null}
//
//	level        error
//	http.status  502
//	http.tags    a, b
//
//	f := jsonevents.Flattener{Keys: jsonevents.KeysOf(q)}
//	events, err := f.Flatten(line)
//	ok, _ := q.Matches(events)
//
// # What becomes of a document
//
// A key is the names on the way to a value, joined by dots. An array adds none,
// and all its elements are values of one key, in their order, those of arrays
// and objects in it too: {"a":[1,[2],{"b":3}]} has a with 1 and 2, and a.b with 3.
// A document is an object; an array or a scalar is an error.
//
//	"text"            text, without quotes and escapes; half of a surrogate pair is U+FFFD
//	12, 1.50, -0, 1e5 as written, at any length; 1e5 is 1 to a query, which knows no exponents
//	true, false       true, false
//	null, [], {}      no value: a key that has no other is not there
//	a name twice      the values of both, in their order
//	{"a.b":1}         a.b, as {"a":{"b":1}}; the values of both if there are both
//	{"":1}, {"a":{"":1}}   the empty key, and "a."
//	{"user name":1}   a key with a blank, which no query can ask for, as those with \ ( ) " ' = < > ! ,
//
// What is not JSON as RFC 8259 has it, UTF-8 included, is an [*Error] that names
// the byte and says what to do: NaN, a comma too many, single quotes, a control
// character in a string, a document that is cut off, two in one line. A byte
// order mark in front is passed over. No part of a document that has an error
// becomes events.
//
// # Keys
//
// [Keys] are those that some queries ask for. With them only these become
// events, and a query matches the events as it would match all of them. What
// nobody asks for is checked and passed over. A program that files queries in a
// match.Index adds each to both and removes it from both:
//
//	id := index.Add(q, value)       index.Remove(id)
//	f.Keys.Add(q)                   f.Keys.Remove(q)
//	…
//	events, err := f.Flatten(doc)
//	found = index.Match(events, found[:0])
//
// Without Keys all become events: for a bus, whose subscribers see them and may
// ask for others later.
//
// # What it costs
//
// One pass, a nanosecond for each byte or so, one allocation for the values of a
// document, and none for keys that were met before. [Flattener.StopEarly] saves what
// follows the last key that is wanted, and does not notice if it is no JSON.
// [Limits] bound the depth, the keys, the values and the bytes of events. Memory
// follows the document, and what an unusual one took is given back when it has
// been read: between two a Flattener keeps about 300 KB at most, besides the
// events that it has returned.
package jsonevents
