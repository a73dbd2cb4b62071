package redismux

// In-package because no server says such things on demand.

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMovedTo(t *testing.T) {
	for _, test := range []struct{ refusal, addr, want string }{
		{"MOVED 3999 127.0.0.1:6381", "10.0.0.1:6379", "127.0.0.1:6381"},
		{"MOVED 3999 redis-2.example:6381", "10.0.0.1:6379", "redis-2.example:6381"},
		{"MOVED 3999 2001:db8::1:6381", "10.0.0.1:6379", "[2001:db8::1]:6381"},
		{"MOVED 3999 [2001:db8::1]:6381", "10.0.0.1:6379", "[2001:db8::1]:6381"},
		{"MOVED 3999 :6381", "10.0.0.1:6379", "10.0.0.1:6381"},
		{"MOVED 3999 :6381", "nonsense", ""},
		{"MOVED 3999 127.0.0.1:6381", "", ""},
		{"MOVED 3999 127.0.0.1", "10.0.0.1:6379", ""},
		{"MOVED 3999", "10.0.0.1:6379", ""},
		{"ASK 3999 127.0.0.1:6381", "10.0.0.1:6379", ""},
		{"MOVED 3999 a]b:6381", "10.0.0.1:6379", ""},
		{"", "10.0.0.1:6379", ""},
	} {
		require.Equal(t, test.want, movedTo(test.refusal, test.addr), "%+v", test)
	}
}

func FuzzMovedTo(f *testing.F) {
	f.Add("MOVED 3999 127.0.0.1:6381", "10.0.0.1:6379")
	f.Add("MOVED 3999 2001:db8::1:6381", "[::1]:6379")
	f.Add("MOVED 1 :1", "a:b:c")
	f.Fuzz(func(t *testing.T, refusal, addr string) {
		owner := movedTo(refusal, addr)
		if owner == "" {
			return
		}
		if _, _, err := net.SplitHostPort(owner); err != nil {
			t.Fatalf("movedTo(%q, %q) = %q: %v", refusal, addr, owner, err)
		}
	})
}
