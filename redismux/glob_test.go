package redismux_test

import (
	"strings"
	"testing"

	"github.com/harkbus/pubsub/internal/redistest"
	"github.com/harkbus/pubsub/redismux"
	"github.com/stretchr/testify/require"
)

var oddNames = []string{
	"", "plain", "*", "?", "[", "]", "[a]", "[^a-b]", `\`, `\\`, `\*`, "a*b?c[d]e\\f", "[a-", "^-", "\x00", "\xff\xfe", "a b\r\nc", "é€𝄞",
}

func TestAPrefixIsTakenLiterally(t *testing.T) {
	server := redistest.Start(t)
	mux := newMux(t, server.Option())
	client := server.Client(t)
	send := func(channel, message string) {
		require.NoError(t, client.Do(t.Context(), client.B().Publish().Channel(channel).Message(message).Build()).Error())
	}
	for _, prefix := range oddNames {
		sub := mux.NewPromiseSubscription(prefix)
		promise, err := sub.WaitForNewPromise(within(t), "x", patience)
		require.NoError(t, err)
		if prefix != "" {
			send("y"+prefix[1:]+"x", "near miss")
		}
		send(prefix+"xx", "near miss")
		send(prefix+"x", prefix)
		message, err := promise.Wait(within(t))
		require.NoError(t, err, "%q", prefix)
		require.Equal(t, prefix, string(message))
		sub.Close()
	}
}

func FuzzEscapeGlob(f *testing.F) {
	for _, name := range oddNames {
		f.Add(name, "a"+name)
	}
	f.Fuzz(func(t *testing.T, s, other string) {
		pattern := redismux.EscapeGlob(s)
		if !matches(pattern, s) {
			t.Fatalf("%q does not match %q", pattern, s)
		}
		if s != other && matches(pattern, other) {
			t.Fatalf("%q matches %q", pattern, other)
		}
		if !matches(pattern+"*", s+other) {
			t.Fatalf("%q does not match %q", pattern+"*", s+other)
		}
		if !strings.HasPrefix(other, s) && matches(pattern+"*", other) {
			t.Fatalf("%q matches %q", pattern+"*", other)
		}
	})
}

// matches tells whether a channel matches a pattern without brackets, as
// stringmatchlen of Redis' util.c does: in it "[" stands for no literal.
func matches(pattern, s string) bool {
	for ; pattern != ""; pattern, s = pattern[1:], s[1:] {
		switch pattern[0] {
		case '*':
			for i := range len(s) + 1 {
				if matches(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		case '[':
			return false
		case '?':
			if s == "" {
				return false
			}
			continue
		case '\\':
			if len(pattern) > 1 {
				pattern = pattern[1:]
			}
		}
		if s == "" || s[0] != pattern[0] {
			return false
		}
	}
	return s == ""
}
