// Wire prints what a delivery over WebSocket costs a server in processor time,
// beside plain gorilla, centrifuge, NATS and the encoding of CometBFT. The clients are a
// process of their own.
//
//	go run ./cmd/wire
//	go run ./cmd/wire -connections 1000 -burst 50
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/harkbus/pubsub/bench/internal/wire"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "wire:", err)
		os.Exit(1)
	}
}

func run() error {
	plan := wire.Plan{}
	clients := flag.Int("clients", 0, "be the clients: so many")
	url := flag.String("url", "", "of the server, with -clients")
	hello := flag.String("hello", "", "what a client says first, with -clients")
	flag.IntVar(&plan.Connections, "connections", 500, "connections, each with one subscription")
	flag.IntVar(&plan.Burst, "burst", 20, "publications at once")
	flag.IntVar(&plan.Bursts, "bursts", 20, "bursts of a sample")
	flag.IntVar(&plan.Rounds, "rounds", 5, "samples of each contender, interleaved")
	flag.Parse()
	if *clients > 0 {
		return wire.Clients(*clients, *url, *hello)
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	costs, err := wire.Run(binary, []wire.Contender{
		wire.Hark("hark, one query", "tm.event = 'Tx'"),
		wire.Hark("hark, different queries", "tm.event = 'Tx' AND tx.height > %d"),
		wire.Gorilla,
		wire.Centrifuge,
		wire.NATS,
	}, plan)
	if err != nil {
		return err
	}
	encoding, err := wire.CometBFTEncoding(plan.Rounds)
	if err != nil {
		return err
	}
	fmt.Printf("%d connections, bursts of %d, %d samples; processor time of the server for one delivery\n\n", plan.Connections, plan.Burst, plan.Rounds)
	fmt.Println("| contender | minimum | median | ÷ hark |\n|---|---|---|---|")
	for _, c := range append(costs, encoding) {
		fmt.Printf("| %s | %v | %v | %.2f |\n", c.Name, c.Min, c.Median, float64(c.Min)/float64(costs[1].Min))
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("\nload average %s\n", strings.Join(strings.Fields(string(load))[:3], " "))
	return nil
}
