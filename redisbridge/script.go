package redisbridge

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

//go:embed stream.lua
var streamText string

//go:embed write.lua
var writeText string

//go:embed look.lua
var lookText string

//go:embed read.lua
var readText string

//go:embed keep.lua
var keepText string

//go:embed layout.lua
var layoutText string

var (
	writeScript  = newScript(streamText + writeText)
	lookScript   = newScript(streamText + lookText)
	readScript   = newScript(readText)
	keepScript   = newScript(keepText)
	layoutScript = newScript(layoutText)
)

// A script is run by its hash, and sent whole when Redis does not know it.
type script struct{ text, hash string }

func newScript(text string) script {
	hash := sha1.Sum([]byte(text))
	return script{text, hex.EncodeToString(hash[:])}
}

// A runner is a client or a connection.
type runner interface {
	B() rueidis.Builder
	Do(ctx context.Context, command rueidis.Completed) rueidis.RedisResult
}

// run runs a script.
func (s script) run(ctx context.Context, on runner, keys []string, args ...string) rueidis.RedisResult {
	result := on.Do(ctx, s.known(on.B(), keys, args))
	if hasCode(result.Error(), "NOSCRIPT") {
		result = on.Do(ctx, s.whole(on.B(), keys, args))
	}
	return result
}

func (s script) known(b rueidis.Builder, keys, args []string) rueidis.Completed {
	return b.Evalsha().Sha1(s.hash).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}

func (s script) whole(b rueidis.Builder, keys, args []string) rueidis.Completed {
	return b.Eval().Script(s.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
}

// millis writes a duration as Redis wants it.
func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
