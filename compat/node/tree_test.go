package node

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const hark = "github.com/harkbus/pubsub"

// A release is a node as it was released.
type release struct {
	module, version string
	compat          string  // what takes the place of its query package
	suites          []suite // all that consumes the bus
}

var consumers = []string{"./types", "./state/txindex/...", "./state/indexer/...", "./rpc/core/...", "./rpc/client/...", "./mempool/...", "./node"}

var releases = map[string]release{
	"Tendermint": {
		module: "github.com/tendermint/tendermint", version: "v0.34.24",
		compat: hark + "/compat/tmquery",
		suites: []suite{{packages: consumers, run: "."}, {[]string{"./consensus"}, "^TestState", true}},
	},
	"CometBFT": {
		module: "github.com/cometbft/cometbft", version: "v1.0.1",
		compat: hark + "/compat/cmtquery",
		suites: []suite{{packages: consumers, run: "."}, {[]string{"./internal/consensus"}, "^TestState", true}},
	},
}

// A level is what of a node is ported. Names are those of docs/migration.md.
type level string

const (
	unmodified level = "unmodified"
	busAlone   level = "the bus alone"
	withQuery  level = "the bus and the queries"
)

// imports returns what the imports of a level become.
func (r release) imports(l level) map[string]string {
	old := r.module + "/libs/pubsub"
	switch l {
	case busAlone:
		return map[string]string{old: hark}
	case withQuery:
		return map[string]string{old: hark, old + "/query": r.compat, old + "/query/syntax": r.compat + "/syntax"}
	}
	return nil
}

// grow copies the node to a folder, with its imports rewritten. The folder may
// have a lower level of it.
func (r release) grow(t *testing.T, folder string, l level) string {
	source, imports := r.source(t), r.imports(l)
	require.NoError(t, filepath.WalkDir(source, func(from string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, _ := filepath.Rel(source, from)
		to := filepath.Join(folder, below)
		switch {
		case below == "docs" || below == "spec":
			return filepath.SkipDir
		case below == filepath.Join("libs", "pubsub") && l == withQuery:
			require.NoError(t, os.RemoveAll(to))
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(to, 0o777)
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if strings.HasSuffix(from, ".go") && !strings.HasPrefix(below, filepath.Join("libs", "pubsub")) {
			if text, err = ported(text, imports); err != nil {
				return err
			}
		}
		return os.WriteFile(to, text, 0o777)
	}))
	if l != unmodified {
		requireHark(t, folder)
	}
	return folder
}

// requireHark lets the module of a folder require Hark as it is here.
func requireHark(t *testing.T, folder string) {
	here, err := filepath.Abs("../..")
	require.NoError(t, err)
	mustRun(t, folder, "go", "mod", "edit", "-require="+hark+"@v0.0.0", "-replace="+hark+"="+here)
}

// source returns the folder of the node in the module cache.
func (r release) source(t *testing.T) string {
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal([]byte(mustRun(t, ".", "go", "mod", "download", "-json", r.module+"@"+r.version)), &module))
	return module.Dir
}

// ported returns a Go file with its imports rewritten. A package whose name is
// not the last element of its new path keeps its name.
func ported(text []byte, imports map[string]string) ([]byte, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	changed := false
	for _, spec := range file.Imports {
		old, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if replacement, ok := imports[old]; ok {
			changed = true
			spec.Path = &ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(replacement), ValuePos: spec.Path.ValuePos}
			if spec.Name == nil && path.Base(old) != path.Base(replacement) {
				spec.Name = &ast.Ident{Name: path.Base(old), NamePos: spec.Path.ValuePos}
			}
		}
	}
	if !changed {
		return text, nil
	}
	var b bytes.Buffer
	err = format.Node(&b, files, file)
	return b.Bytes(), err
}
