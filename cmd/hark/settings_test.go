package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// The command line goes before the environment, and that before the file, which
// goes before the default.
func TestSettingsHaveAnOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "settings.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"line": "file", "environment": "file", "file": "file", "list": ["a", "b"]}`), 0o600))
	environment := map[string]string{"HARK_LINE": "environment", "HARK_ENVIRONMENT": "environment"}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, name := range []string{"line", "environment", "file", "nothing"} {
		flags.String(name, "default", "")
	}
	list := flags.StringSlice("list", []string{"default"}, "")
	require.NoError(t, flags.Parse([]string{"--line=line"}))
	require.NoError(t, fill(flags, file, func(name string) string { return environment[name] }))
	for name, value := range map[string]string{"line": "line", "environment": "environment", "file": "file", "nothing": "default"} {
		require.Equal(t, value, flags.Lookup(name).Value.String(), name)
	}
	require.Equal(t, []string{"a", "b"}, *list)
}
