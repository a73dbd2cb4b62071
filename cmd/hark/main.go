// Command hark shows and uses the event bus from a shell: it greps events with
// queries and demonstrates the bus on a simulated chain.
//
//	hark match "tm.event = 'Tx' AND transfer.amount > 1000" events.jsonl
//	hark demo
//
// Its exit status is 0 if it did what was asked, 1 if match found nothing, and
// 2 if something was wrong, which it says on standard error.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
