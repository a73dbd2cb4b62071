// Command pick prints the tests of all packages below the current folder that
// depend on something, one line a package: its folder and a pattern for
// go test -run.
//
//	pick -race          on whether the race detector runs
//	pick -import PATH   on a package
//
// The first are the tests in files that the race detector leaves out, and those
// that reach, through whatever functions and methods of their package, a name
// declared in a file that is there with it only. So there is no list of them to
// be forgotten. Names are compared as they are spelled: a test too many is
// possible, and one too few is not. The second are those that reach the package
// through functions.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	race := flag.Bool("race", false, "tests that differ under the race detector")
	imported := flag.String("import", "", "tests that use this package")
	flag.Parse()
	cause := func(f *file) []string { return f.uses(*imported) }
	if *race {
		cause = (*file).variesWithRace
	}
	if err := pick(os.DirFS("."), cause, func(folder string, tests []string) {
		fmt.Printf("./%s ^(%s)$\n", folder, strings.Join(tests, "|"))
	}); err != nil {
		fmt.Fprintln(os.Stderr, "pick:", err)
		os.Exit(1)
	}
}

// pick calls found for every folder with tests that depend on a cause.
func pick(tree fs.FS, cause func(*file) []string, found func(folder string, tests []string)) error {
	folders, err := sources(tree)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		files, err := parseFolder(tree, folder)
		if err != nil {
			return err
		}
		if tests := dependents(files, cause); len(tests) > 0 {
			found(folder, tests)
		}
	}
	return nil
}

// sources returns the folders with tests, in order.
func sources(tree fs.FS) (folders []string, err error) {
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && name != "." && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".")) {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			folders = append(folders, filepath.ToSlash(filepath.Dir(path)))
		}
		return nil
	})
	slices.Sort(folders)
	return slices.Compact(folders), err
}
