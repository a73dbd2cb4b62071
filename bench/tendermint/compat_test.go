// Package tendermint runs the tests that Tendermint Core v0.34.24 has for its
// pubsub library against Hark. Nothing but the imports is changed: what these
// tests say about the API and its behaviour holds here.
//
// Its tests of the query language are not among them, apart from that of the
// empty query: Hark's language is that of CometBFT v1, which differs, and is
// held against both by the vectors in query/testdata.
package tendermint

import (
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const version = "github.com/tendermint/tendermint@v0.34.24"

// files are the tests, by the folder of the scratch module they go to.
var files = map[string][]string{
	"bus":   {"libs/pubsub/pubsub_test.go", "libs/pubsub/example_test.go"},
	"query": {"libs/pubsub/query/empty_test.go"},
}

// imports are what the tests import, and what they get.
var imports = map[string]string{
	"github.com/tendermint/tendermint/libs/pubsub":       "github.com/harkbus/pubsub",
	"github.com/tendermint/tendermint/libs/pubsub/query": "github.com/harkbus/pubsub/query",
	"github.com/tendermint/tendermint/libs/log":          "github.com/harkbus/pubsub/bench/log",
}

// logger stands in for Tendermint's package log.
const logger = `package log

import "log/slog"

func TestingLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }
`

func TestTendermintsOwnTestsPass(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Tendermint's source and builds a module")
	}
	source, scratch := download(t), t.TempDir()
	scratchModule(t, scratch)
	write(t, filepath.Join(scratch, "log", "log.go"), []byte(logger))
	for folder, names := range files {
		for _, name := range names {
			write(t, filepath.Join(scratch, folder, filepath.Base(name)), ported(t, filepath.Join(source, name)))
		}
	}
	out := run(t, scratch, "go", "test", "-mod=mod", "-race", "-count=1", "-v", "./bus", "./query")
	passed := strings.Count(out, "\n--- PASS: ")
	require.GreaterOrEqual(t, passed, 14, "of Tendermint's tests ran:\n%s", out)
	t.Logf("%d of Tendermint's tests pass", passed)

	// Its benchmarks with one query fail there too: they subscribe one client
	// to it many times.
	run(t, scratch, "go", "test", "-mod=mod", "-run=^$", "-bench=Clients$", "-benchtime=1x", "./bus")
}

// download returns the folder of Tendermint's source in the module cache.
func download(t *testing.T) string {
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal([]byte(run(t, t.TempDir(), "go", "mod", "download", "-json", version)), &module))
	return module.Dir
}

// scratchModule makes folder a module with the requirements of this one.
func scratchModule(t *testing.T, folder string) {
	here, err := filepath.Abs("..")
	require.NoError(t, err)
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(here, name))
		require.NoError(t, err)
		write(t, filepath.Join(folder, name), text)
	}
	run(t, folder, "go", "mod", "edit", "-replace=github.com/harkbus/pubsub="+filepath.Dir(here))
}

// ported returns a Go file with its imports rewritten.
func ported(t *testing.T, path string) []byte {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
	require.NoError(t, err)
	for _, spec := range file.Imports {
		old, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if replacement, ok := imports[old]; ok {
			spec.Path = &ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(replacement), ValuePos: spec.Path.ValuePos}
		}
	}
	var b strings.Builder
	require.NoError(t, format.Node(&b, files, file))
	return []byte(b.String())
}

func write(t *testing.T, path string, text []byte) {
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, text, 0o666))
}

func run(t *testing.T, folder, name string, args ...string) string {
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = folder
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	require.NoError(t, err, "%v\n%s%s", cmd.Args, &stdout, &stderr)
	return stdout.String()
}
