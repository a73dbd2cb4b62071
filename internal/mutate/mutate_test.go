package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	code = `package room

// Fits tells whether n fits into most.
func Fits(n, most int) bool {
	if n < 0 {
		return false
	}
	for n > 1000 {
		n = 1000
	}
	return n <= most
}

var hoard []byte
`
	tests = `package room

import "testing"

func TestFits(t *testing.T) {
	if !Fits(2000, 1000) || Fits(6, 5) {
		t.Fatal("wrong")
	}
}
`
	noticed  = "what: what is too large fits\nfile: room.go\nrun: TestFits\n-\treturn n <= most\n+\treturn true\n"
	survives = "what: the exact value is refused\nfile: room.go\nrun: TestFits/.*\n-return n <= most\n+return n < most || n == 1000\n"
	hoards   = "what: a loop holds all it can\nfile: room.go\nrun: TestFits\n-\tn = 1000\n+\thoard = append(hoard, make([]byte, 1<<20)...)\n"
	hangs    = "what: a loop goes on\nfile: room.go\nrun: TestFits\n-\tn = 1000\n+\tn++; n--\n"
)

// tryList runs the command on a module with one package and a list.
func tryList(t *testing.T, list string, change ...func(*options)) (out string, err error) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module room\n\ngo 1.24\n", "room.go": code, "room_test.go": tests, listPath: list,
	} {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	t.Chdir(folder)
	var b bytes.Buffer
	o := options{out: &b, parallel: 2, repeat: 1, timeout: time.Second, memory: 1 << 30}
	for _, c := range change {
		c(&o)
	}
	err = start(o, nil, false)
	after, readErr := os.ReadFile("room.go")
	require.NoError(t, readErr)
	require.Equal(t, code, string(after), "the tree is not touched")
	return b.String(), err
}

func TestNoticedMutationIsFine(t *testing.T) {
	out, err := tryList(t, "# a comment\n\n"+noticed)
	require.NoError(t, err, out)
	require.Regexp(t, `\[1/1\] noticed  \.: what is too large fits \(room\.go\), [0-9.]+ s TestFits\n`, out)
}

func TestSurvivorIsNamed(t *testing.T) {
	out, err := tryList(t, noticed+"\n"+survives)
	require.ErrorContains(t, err, "testdata/mutations.txt:7: survived, noticed 0 times of 1: the exact value is refused")
	require.Contains(t, out, "SURVIVED .: the exact value is refused")
	require.Contains(t, out, "1 noticed by a failure, 0 by a timeout, 0 by their memory, 1 survived")
}

func TestTestsMustFailEveryTime(t *testing.T) {
	_, err := tryList(t, survives, func(o *options) { o.repeat = 3 })
	require.ErrorContains(t, err, "noticed 0 times of 3")
	_, err = tryList(t, noticed, func(o *options) { o.repeat = 3 })
	require.NoError(t, err)
}

func TestTimeoutIsNoticedAndReported(t *testing.T) {
	out, err := tryList(t, hangs)
	require.NoError(t, err, out)
	require.Contains(t, out, "timeout  .: a loop goes on")
	require.Contains(t, out, "1 by a timeout")
}

func TestRunThatHoldsTooMuchIsKilledAndReported(t *testing.T) {
	if residentOf(os.Getpid()) == 0 {
		t.Skip("how much a process holds is not known here")
	}
	out, err := tryList(t, hoards, func(o *options) { o.memory, o.timeout = 200<<20, time.Minute })
	require.NoError(t, err, out)
	require.Contains(t, out, "memory   .: a loop holds all it can")
	require.Contains(t, out, "1 by their memory")
}

func TestStaleMutationIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ list, reason string }{
		"not there":        {"what: x\nfile: room.go\nrun: TestFits\n-return false, nil\n+return true, nil\n", "the old lines occur 0 times in room.go"},
		"there twice":      {"what: x\nfile: room.go\nrun: TestFits\n-}\n+} // end\n", "the old lines occur 3 times in room.go"},
		"no such file":     {"what: x\nfile: none.go\nrun: TestFits\n-}\n+} // end\n", "no such file"},
		"does not compile": {"what: x\nfile: room.go\nrun: TestFits\n-return n <= most\n+return most\n", "does not compile"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := tryList(t, c.list)
			require.ErrorContains(t, err, "stale")
			require.ErrorContains(t, err, c.reason)
			require.Contains(t, out, "STALE")
		})
	}
}

func TestTestsMustPassWithoutAMutation(t *testing.T) {
	fails := "what: x\nfile: room_test.go\nrun: TestNothing\n-return n <= most\n+return true\n"
	_, err := tryList(t, fails)
	require.ErrorContains(t, err, "TestNothing runs no test")

	_, err = tryList(t, noticed, func(*options) {
		broken := bytes.Replace([]byte(tests), []byte("Fits(6, 5)"), []byte("Fits(5, 5)"), 1)
		require.NoError(t, os.WriteFile("room_test.go", broken, 0o600))
	})
	require.ErrorContains(t, err, "TestFits fails without a mutation")
}

func TestListThatIsWrongIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ list, reason string }{
		"no field":        {"what: x\nwhy: y\n", `:2: neither a field nor a line of code: "why: y"`},
		"no pattern":      {"what: x\nfile: room.go\n-}\n+\n", "what, file and run must be given"},
		"no code":         {"what: x\nfile: room.go\nrun: T\n", "there are no old lines"},
		"changes nothing": {"what: x\nfile: room.go\nrun: T\n-}\n+}\n", "the same"},
		"empty":           {"# nothing\n", "no mutations"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryList(t, c.list)
			require.ErrorContains(t, err, c.reason)
		})
	}
}

func TestOldLinesAreFoundWhateverTheirIndentation(t *testing.T) {
	m := mutation{file: "f", old: []string{"if a {", "b()"}, new: []string{"b()"}}
	got, err := m.apply("x\n\tif a {\n\t\tb()\n\t}\n")
	require.NoError(t, err)
	require.Equal(t, "x\nb()\n\t}\n", got)
}
