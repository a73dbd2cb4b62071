// Package demo shows in ten seconds what the bus is for: a simulated chain
// publishes, and subscribers with a query each receive what they asked for,
// most of them promptly, one that looks at the newest only now and then, and
// one that stops reading and is cut.
//
//	            ┌ Publish ─→ server ─┬→ prompt, prompt, …   count and measure latency
//	sim.Chain ──┘                    ├→ glancing            DropOldest: loses what it does not look at
//	                                 └→ stalling            Cancel: is cut once its buffer is full
//	               every 100 ms: Stats ─→ view ─→ Display
//
// Run owns all goroutines and waits for them.
package demo
