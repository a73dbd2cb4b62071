// Package messages makes test data: messages of random sizes, the same for the
// same seed.
package messages

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
)

// New returns messages of 1 to maxSize bytes that have size bytes together, or
// a little more.
func New(seed uint64, maxSize, size int) [][]byte {
	var random rand.ChaCha8
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	random.Seed(key)
	lengths := rand.New(&random)
	var all [][]byte
	for total := 0; total < size; {
		m := make([]byte, 1+lengths.IntN(max(maxSize, 1)))
		_, _ = random.Read(m) // never fails
		all = append(all, m)
		total += len(m)
	}
	return all
}

// Write writes messages, each after its length in four bytes, big-endian.
func Write(w io.Writer, all [][]byte) error {
	out := bufio.NewWriter(w)
	for _, m := range all {
		if _, err := out.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)); err != nil {
			return fmt.Errorf("messages: write: %w", err)
		}
	}
	return out.Flush()
}
