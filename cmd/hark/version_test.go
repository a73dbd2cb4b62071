package main

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersionNamesWhatWasBuilt(t *testing.T) {
	platform := " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	commit := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"},
		{Key: "vcs.time", Value: "2024-01-01T00:00:00Z"},
	}
	for name, test := range map[string]struct {
		version string
		info    debug.BuildInfo
		want    string
	}{
		"a release's flag":     {"v1.2.3", debug.BuildInfo{Main: debug.Module{Version: "v0.0.1"}}, "v1.2.3"},
		"installed by version": {"", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		"built without any":    {"", debug.BuildInfo{}, "(devel)"},
		"built from a commit":  {"", debug.BuildInfo{Settings: commit}, "(devel) 0123456789ab 2024-01-01T00:00:00Z"},
		"with changes": {
			"", debug.BuildInfo{Settings: append(commit, debug.BuildSetting{Key: "vcs.modified", Value: "true"})},
			"(devel) 0123456789ab 2024-01-01T00:00:00Z modified",
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want+platform, describe(test.version, &test.info))
		})
	}
}
