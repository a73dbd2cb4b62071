// Package load measures a bus under load: many subscriptions, each with a
// goroutine that reads it, and one publisher.
//
//	publications, made beforehand ─→ Publish at a rate ─→ server ─┬→ reader ─┐
//	                                                              ├→ reader ─┼→ latencies
//	                                                              └→ …      ─┘
//
// Run owns all goroutines and waits for them.
package load
