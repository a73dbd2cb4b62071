package redisbridge

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"strconv"
	"time"
)

//go:embed write.lua
var writeText string

var writeScript = newScript(writeText)

// A script is run by its hash, and sent whole when Redis does not know it.
type script struct{ text, hash string }

func newScript(text string) script {
	hash := sha1.Sum([]byte(text))
	return script{text, hex.EncodeToString(hash[:])}
}

// millis writes a duration as Redis wants it.
func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
