package env_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/env"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ addr, url, listen string }{
		{"127.0.0.1:8080", "ws://127.0.0.1:8080", "127.0.0.1:8080"},
		{"ws://localhost:1/a/b", "ws://localhost:1/a/b", "localhost:1"},
		{"wss://example.com", "wss://example.com", "example.com:443"},
		{"ws://[::1]", "ws://[::1]", "[::1]:80"},
		{":8080", "ws://:8080", ":8080"},
	} {
		t.Setenv(env.Addr, c.addr)
		u, err := env.URL()
		require.NoError(t, err)
		require.Equal(t, c.url, u.String())
		listen, err := env.Listen()
		require.NoError(t, err)
		require.Equal(t, c.listen, listen)
	}
}

func TestErrorsSayWhatIsWrongWithoutThePassword(t *testing.T) {
	t.Setenv(env.Addr, "")
	_, err := env.URL()
	require.ErrorIs(t, err, env.ErrNoAddr)
	listen, err := env.Listen()
	require.NoError(t, err)
	require.Empty(t, listen)
	for _, addr := range []string{"http://u:secret@example.com", "ws://u:secret@%zz", "ws://"} {
		t.Setenv(env.Addr, addr)
		_, err := env.URL()
		require.Error(t, err, addr)
		require.NotContains(t, err.Error(), "secret")
	}
}
