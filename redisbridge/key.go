package redisbridge

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
)

const (
	macSize   = 16
	minSecret = 16
)

// A Key signs frames, so that who can write to Redis but has no key cannot
// speak on the bus. To change keys without a stop: give all processes the new
// key second, then first, then alone.
type Key struct {
	ID     uint8  // 1 to 255; names the key in frames
	Secret []byte // at least 16 bytes

	macs  *sync.Pool // of hash.Hash; set by prepare
	place []byte     // the channel or stream that its frames go through; see at
}

// String shows the ID alone.
func (k Key) String() string { return fmt.Sprintf("key %d", k.ID) }

// Format keeps the secret out of what fmt and log print, with any verb but %p,
// which is none for it.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText keeps the secret out of JSON and of structured logs.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// ParseKeys reads keys, one a line or separated by commas: the ID, a colon and
// the secret in hexadecimal. Empty lines and those that begin with # are
// skipped. Errors name the line, not the secret.
func ParseKeys(text string) ([]Key, error) {
	var keys []Key
	lines := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(text, ",", "\n")))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, secret, _ := strings.Cut(line, ":")
		number, err := strconv.ParseUint(strings.TrimSpace(id), 10, 8)
		if err != nil {
			return nil, fmt.Errorf("redisbridge: line %d of the keys does not begin with an ID from 1 to 255 and a colon", n)
		}
		b, err := hex.DecodeString(strings.TrimSpace(secret))
		if err != nil {
			return nil, fmt.Errorf("redisbridge: the secret in line %d of the keys is not hexadecimal", n)
		}
		keys = append(keys, Key{ID: uint8(number), Secret: b})
	}
	if err := lines.Err(); err != nil {
		return nil, errors.New("redisbridge: a line of the keys is too long")
	}
	return keys, validateKeys(keys)
}

// KeysFromFile is ParseKeys for a file.
func KeysFromFile(name string) ([]Key, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("redisbridge: keys: %w", err)
	}
	return ParseKeys(string(text))
}

// KeysFromEnv is ParseKeys for a variable of the environment. It returns no
// keys if the variable is empty or not set.
func KeysFromEnv(name string) ([]Key, error) { return ParseKeys(os.Getenv(name)) }

func validateKeys(keys []Key) error {
	var seen [256]bool
	for _, k := range keys {
		switch {
		case k.ID == 0:
			return errors.New("redisbridge: a key has the ID 0: use 1 to 255")
		case seen[k.ID]:
			return fmt.Errorf("redisbridge: two keys have the ID %d", k.ID)
		case len(k.Secret) < minSecret:
			return fmt.Errorf("redisbridge: key %d has %d bytes: at least %d are needed", k.ID, len(k.Secret), minSecret)
		}
		seen[k.ID] = true
	}
	return nil
}

// prepare returns copies of the keys that are ready to sign.
func prepare(keys []Key) []Key {
	prepared := make([]Key, len(keys))
	for i, k := range keys {
		secret := append([]byte(nil), k.Secret...)
		prepared[i] = Key{ID: k.ID, Secret: secret, macs: &sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
	}
	return prepared
}

// at returns a prepared key for the frames of one channel or stream, by its
// name in Redis: what is signed for one is not valid in another, be that of
// another mode or of another process that waits for a reply. Without a key there
// is none.
func (k *Key) at(place string) *Key {
	if k == nil {
		return nil
	}
	return &Key{ID: k.ID, Secret: k.Secret, macs: k.macs, place: append([]byte(place), 0)}
}

// mac returns the MAC of all of frame, in the place of the key.
func (k *Key) mac(frame []byte) (mac [macSize]byte) {
	h := k.macs.Get().(hash.Hash)
	defer k.macs.Put(h)
	h.Reset()
	h.Write(k.place)
	h.Write(frame)
	var sum [sha256.Size]byte
	copy(mac[:], h.Sum(sum[:0]))
	return mac
}

// appendMAC appends the MAC of all of frame.
func (k *Key) appendMAC(frame []byte) []byte {
	mac := k.mac(frame)
	return append(frame, mac[:]...)
}

// verify tells whether the key with an ID made the MAC of a frame.
func verify(keys []Key, id uint8, frame, mac []byte) bool {
	for i := range keys {
		if keys[i].ID == id {
			want := keys[i].mac(frame)
			return hmac.Equal(want[:], mac)
		}
	}
	return false
}
