// Command generate writes test data to standard output: messages of random
// sizes, each after its length in four bytes, big-endian.
//
//	go run ./internal/messages/generate -maxMessageSize 1024 -testDataSize 1000000 >messages
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/harkbus/pubsub/internal/messages"
)

func main() {
	maxSize := flag.Int("maxMessageSize", 1024, "largest message, in bytes")
	size := flag.Int("testDataSize", 1_000_000, "all messages, in bytes")
	seed := flag.Uint64("seed", 1, "which messages")
	flag.Parse()
	if err := messages.Write(os.Stdout, messages.New(*seed, *maxSize, *size)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
