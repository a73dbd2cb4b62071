// Package sim is a simulated chain: it makes the publications that a node of a
// Cosmos chain would, for demonstrations, tests and benchmarks.
//
//	chain := sim.New(sim.Config{Seed: 1})
//	err := chain.Publish(ctx, 1000, server.PublishWithEvents) // 1,000 a second until ctx ends
//
// Each height of the chain is told in this order, and heights rise by one:
//
//	Vote …   a validator's precommit; now and then one is missing
//	NewBlock what was minted and who earned it
//	Tx …     transfers, delegations, governance votes, packets to other chains
//
// The events are what such a chain emits, several values per key included: a
// transaction that sends 5uosmo and pays a fee of 200uatom has
//
//	tm.event             Tx
//	tx.height            12
//	tx.hash              8ED5B22E…
//	message.action       /cosmos.bank.v1beta1.MsgSend
//	transfer.sender      cosmos1gu6y…  cosmos1gu6y…
//	transfer.recipient   cosmos1fees…  cosmos1q0dv…
//	transfer.amount      200uatom      5uosmo
//
// and more. Amounts spread over nine decades, and few accounts do most of the
// business, so that a query can be met by much, little, or almost nothing.
//
// # Guarantees
//
// The same Config gives the same publications, byte for byte, on any machine.
// Block times come from the Config, never from the clock. Each publication has
// its own map, which the receiver owns. A Chain is for one goroutine at a time.
//
// The package knows nothing of the bus, and keeps nothing of what it made.
package sim
