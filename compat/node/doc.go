// Package node holds Hark against the nodes it was made for: Tendermint v0.34.24
// and CometBFT v1.0.1, as they are in the module cache.
//
// Its tests compare the API and the language of compat/tmquery and
// compat/cmtquery with the originals, and build both nodes whole, in a folder
// that is thrown away, with nothing but imports rewritten: at first those of
// libs/pubsub, then those of its query package too. The suites of all that
// consumes the bus must end as they do without the change.
//
// A few of them run with every change, and all of them, beside the unmodified
// ones, when soaking or with make node.
package node
