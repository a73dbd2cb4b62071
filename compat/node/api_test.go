package node

import (
	"encoding/json"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the originals export is exported here, with the same types and values.
func TestTheAPIIsTheOriginals(t *testing.T) {
	for _, pair := range []struct {
		original, ours string
		but            []string
	}{
		{"github.com/tendermint/tendermint/libs/pubsub/query", hark + "/compat/tmquery",
			[]string{"QueryParser", "Pretty", "Size"}}, // of the generated parser
		{"github.com/cometbft/cometbft/libs/pubsub/query", hark + "/compat/cmtquery",
			[]string{"ExpandEvents"}}, // which returns types of abci there
		{"github.com/cometbft/cometbft/libs/pubsub/query/syntax", hark + "/compat/cmtquery/syntax", nil},
	} {
		ours := api(t, pair.ours)
		for name, says := range api(t, pair.original) {
			first, _, _ := strings.Cut(name, ".")
			if !contains(pair.but, first) {
				require.Equal(t, says, ours[name], "%s of %s", name, pair.original)
			}
		}
	}
}

func contains(all []string, s string) bool {
	for _, one := range all {
		if one == s {
			return true
		}
	}
	return false
}

// api returns what a package exports: each name, field and method with what it
// is, without the folders of package paths.
func api(t *testing.T, path string) map[string]string {
	pkg := load(t, path)
	short := func(p *types.Package) string {
		if p == pkg {
			return ""
		}
		return regexp.MustCompile(`.*/`).ReplaceAllString(p.Path(), "")
	}
	text := func(typ types.Type) string {
		return strings.ReplaceAll(types.TypeString(typ, short), "interface{}", "any")
	}
	all := map[string]string{}
	for _, name := range pkg.Scope().Names() {
		switch object := pkg.Scope().Lookup(name).(type) {
		case *types.Const:
			if object.Exported() {
				all[name] = "const " + text(object.Type()) + " " + object.Val().ExactString()
			}
		case *types.Var:
			if object.Exported() {
				all[name] = "var " + text(object.Type())
			}
		case *types.Func:
			if object.Exported() {
				all[name] = withoutNames(object.Signature(), text)
			}
		case *types.TypeName:
			if object.Exported() {
				addType(all, name, object.Type(), text)
			}
		}
	}
	return all
}

func addType(all map[string]string, name string, typ types.Type, text func(types.Type) string) {
	all[name] = "type"
	if s, ok := typ.Underlying().(*types.Struct); ok {
		for i := range s.NumFields() {
			if f := s.Field(i); f.Exported() {
				all[name+"."+f.Name()] = text(f.Type())
			}
		}
	} else {
		all[name] += " " + text(typ.Underlying())
	}
	methods := types.NewMethodSet(types.NewPointer(typ))
	for i := range methods.Len() {
		if f := methods.At(i).Obj().(*types.Func); f.Exported() {
			all[name+"."+f.Name()] = withoutNames(f.Signature(), text)
		}
	}
}

// withoutNames returns a signature without the names of parameters.
func withoutNames(s *types.Signature, text func(types.Type) string) string {
	tuple := func(vars *types.Tuple) *types.Tuple {
		var unnamed []*types.Var
		for v := range vars.Variables() {
			unnamed = append(unnamed, types.NewParam(token.NoPos, nil, "", v.Type()))
		}
		return types.NewTuple(unnamed...)
	}
	return text(types.NewSignatureType(nil, nil, nil, tuple(s.Params()), tuple(s.Results()), s.Variadic()))
}

// load reads a package from its export data.
func load(t *testing.T, path string) *types.Package {
	exports := map[string]string{}
	list := json.NewDecoder(strings.NewReader(mustRun(t, ".", "go", "list", "-export", "-deps", "-json=ImportPath,Export", path)))
	for {
		var listed struct{ ImportPath, Export string }
		if err := list.Decode(&listed); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
		exports[listed.ImportPath] = listed.Export
	}
	pkg, err := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	}).Import(path)
	require.NoError(t, err)
	return pkg
}
