// Package wire has the words that the server and the Go client of this module
// both use, so that neither guesses what the other says.
package wire

// Headers of a request to a topic, and of the answer.
const (
	RoleHeader       = "pubsub"             // Publisher or Subscriber
	NameHeader       = "pubsub-client-name" // optional
	MaxMessageHeader = "pubsub-max-message" // in the answer: bytes of a message that the server takes
)

// Roles at a topic.
const (
	Publisher  = "publisher"
	Subscriber = "subscriber"
)

// Names of data that has no type of its own.
const (
	TypeJSON   = "hark/json"   // any JSON value
	TypeBinary = "hark/binary" // a string of base64
	TypeError  = "hark/error"  // a string: the data could not be encoded, and why
)

// TypeCarrier is a type of CometBFT's whose value is any string; its Go client
// drops events of types that it does not know.
const TypeCarrier = "tendermint/event/ProposalString"

// Reasons for the end of a subscription that a client can resume: after
// Draining and Held on its next connection, after the others at once.
const (
	Draining  = "the server is shutting down"
	Held      = "too much waits for clients that do not read"
	TooSlow   = "the client is too slow"
	Unreading = "the client does not read"
)
