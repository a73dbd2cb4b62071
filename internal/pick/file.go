package main

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A file is a Go file and its declarations.
type file struct {
	isTest       bool
	onlyWithout  bool              // the race detector leaves it out
	onlyWith     bool              // it is there with the race detector only
	imports      map[string]string // path → name in the file
	declarations []declaration
}

// A declaration is one name that a file declares, and all names in it. The name
// of a method, and whatever is selected, has a dot in front; that of a package
// that something is selected from has one behind.
type declaration struct {
	name   string
	isFunc bool
	names  map[string]bool
}

func parseFolder(tree fs.FS, folder string) ([]*file, error) {
	paths, err := fs.Glob(tree, path.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*file
	for _, p := range paths {
		text, err := fs.ReadFile(tree, p)
		if err != nil {
			return nil, err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, newFile(p, parsed))
	}
	return files, nil
}

func newFile(path string, parsed *ast.File) *file {
	f := &file{isTest: strings.HasSuffix(path, "_test.go"), imports: map[string]string{}}
	f.onlyWith, f.onlyWithout = constraints(parsed)
	for _, spec := range parsed.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		f.imports[p] = p[strings.LastIndex(p, "/")+1:]
		if spec.Name != nil {
			f.imports[p] = spec.Name.Name
		}
	}
	for _, d := range parsed.Decls {
		f.declare(d)
	}
	return f
}

// constraints tells whether the file is built only with, or only without the
// race detector.
func constraints(parsed *ast.File) (with, without bool) {
	for _, group := range parsed.Comments {
		if group.Pos() > parsed.Package {
			break
		}
		for _, comment := range group.List {
			expr, err := constraint.Parse(comment.Text)
			if err != nil {
				continue // a comment like others
			}
			built := func(race bool) bool {
				return expr.Eval(func(tag string) bool { return tag != "race" || race })
			}
			with, without = built(true) && !built(false), built(false) && !built(true)
		}
	}
	return with, without
}

func (f *file) declare(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name, isFunc := d.Name.Name, d.Recv == nil
		if !isFunc {
			name = "." + name
		}
		f.declarations = append(f.declarations, declaration{name, isFunc, namesIn(d)})
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					f.declarations = append(f.declarations, declaration{name.Name, false, namesIn(spec)})
				}
			case *ast.TypeSpec:
				f.declarations = append(f.declarations, declaration{spec.Name.Name, false, namesIn(spec)})
			}
		}
	}
}

// namesIn returns all names in a declaration.
func namesIn(node ast.Node) map[string]bool {
	names := map[string]bool{}
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			names[n.Name] = true
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				names[x.Name+"."] = true
			}
			names["."+n.Sel.Name] = true
			ast.Inspect(n.X, visit)
			return false
		}
		return true
	}
	ast.Inspect(node, visit)
	return names
}

// variesWithRace returns the names that the file declares if the race detector
// adds or leaves out the file. What other files can use of that is declared
// twice, and the tests in a file that is left out are what is left.
func (f *file) variesWithRace() (names []string) {
	for _, d := range f.declarations {
		if f.onlyWith || f.onlyWithout && d.isTest() {
			names = append(names, d.name)
		}
	}
	return names
}

// uses returns the names of the functions that use an imported package. Methods
// do not count: too many share their names.
func (f *file) uses(imported string) (names []string) {
	name, ok := f.imports[imported]
	if !ok {
		return nil
	}
	for _, d := range f.declarations {
		if d.isFunc && d.names[name+"."] {
			names = append(names, d.name)
		}
	}
	return names
}

// dependents returns the tests of a package that reach a cause.
func dependents(files []*file, cause func(*file) []string) []string {
	reached := map[string]bool{}
	for _, f := range files {
		for _, name := range cause(f) {
			reached[name] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, f := range files {
			for _, d := range f.declarations {
				if !reached[d.name] && d.reaches(reached) {
					reached[d.name], grown = true, true
				}
			}
		}
	}
	tests := map[string]bool{}
	for _, f := range files {
		for _, d := range f.declarations {
			if f.isTest && !f.onlyWith && reached[d.name] && d.isTest() {
				tests[d.name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(tests))
}

func (d *declaration) reaches(names map[string]bool) bool {
	for name := range d.names {
		if names[name] {
			return true
		}
	}
	return false
}

func (d *declaration) isTest() bool {
	return d.isFunc && d.name != "TestMain" && (strings.HasPrefix(d.name, "Test") || strings.HasPrefix(d.name, "Fuzz"))
}
