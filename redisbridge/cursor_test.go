package redisbridge

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzCursor(f *testing.F) {
	f.Add("1767323045000123@1767323045000-42.3,0000000000000000@0-0,1767323044170001@1767323044170-7")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCursor(text)
		if err != nil {
			return
		}
		again, err := ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

func TestKeysAreReadAndNeverShown(t *testing.T) {
	keys, err := ParseKeys("# ours\n1:00112233445566778899aabbccddeeff, 2:ffeeddccbbaa99887766554433221100\n")
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, "key 2", keys[1].String())
	for _, text := range []string{"x:00", "1:zz", "1:00", "0:00112233445566778899aabbccddeeff",
		"1:00112233445566778899aabbccddeeff,1:00112233445566778899aabbccddeeff"} {
		_, err := ParseKeys(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "0011")
	}
	t.Setenv("HARK_TEST_KEYS", "3:00112233445566778899aabbccddeeff")
	keys, err = KeysFromEnv("HARK_TEST_KEYS")
	require.NoError(t, err)
	require.Equal(t, uint8(3), keys[0].ID)
}

func TestURLErrorsHideThePassword(t *testing.T) {
	for _, text := range []string{"redis://user:hunter2@host:port/0", "http://user:hunter2@host", "redis://user:hunter2@host/x", "redis://user:hunter2@[::1"} {
		_, err := ParseURL(text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
