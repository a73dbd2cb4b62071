package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/redistest"
)

var readmeBlocks = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// blocksOfReadme returns what the README has between its fences of one kind.
func blocksOfReadme(t *testing.T, kind string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, block := range readmeBlocks.FindAllStringSubmatch(string(text), -1) {
		if block[1] == kind {
			blocks = append(blocks, block[2])
		}
	}
	require.NotEmpty(t, blocks, kind)
	return blocks
}

// The program in the README runs, as it stands, and prints what it says.
func TestTheProgramInTheReadmeRuns(t *testing.T) {
	for _, program := range blocksOfReadme(t, "go") {
		file := filepath.Join(t.TempDir(), "main.go")
		require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
		out, err := exec.Command("go", "run", file).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, regexp.MustCompile(`// Output: (.*)`).FindStringSubmatch(program)[1]+"\n", string(out))
	}
}

// The sessions in the README are those of a shell in the root folder.
func TestTheSessionsInTheReadmeAreTyped(t *testing.T) {
	for _, session := range blocksOfReadme(t, "console") {
		for _, step := range strings.Split("\n"+session, "\n$ ")[1:] {
			command, want, _ := strings.Cut(step+"\n", "\n")
			hark := exec.Command("bash", "-c", command)
			hark.Dir = "../.."
			hark.Env = append(os.Environ(), "PATH="+pathWithHark(t))
			var out, said bytes.Buffer
			hark.Stdout, hark.Stderr = &out, &said
			require.NoError(t, hark.Run(), command)
			require.Equal(t, strings.TrimSpace(want), strings.TrimSpace(said.String()+out.String()), command)
		}
	}
}

// pathWithHark returns a search path on which hark is this test's program.
func pathWithHark(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.Symlink(self, filepath.Join(folder, "hark")))
	return folder + string(os.PathListSeparator) + os.Getenv("PATH")
}

// Every command in the README is tried as it stands, with what keeps it short and
// away from other servers of this machine; two are not for a test to run.
func TestTheCommandsInTheReadmeWork(t *testing.T) {
	elsewhere := []string{
		"make test", // runs this
		"go install github.com/harkbus/pubsub/cmd/hark@latest", // for what is released
	}
	tried := 0
	for _, block := range blocksOfReadme(t, "sh") {
		for line := range strings.Lines(block) {
			command, _, _ := strings.Cut(line, "#")
			command = strings.TrimSpace(command)
			if slices.Contains(elsewhere, command) {
				continue
			}
			args := words(strings.TrimPrefix(strings.TrimPrefix(command, "go run ./cmd/"), "hark "))
			if args[0] == "hark" {
				args = args[1:]
			}
			t.Run(args[0], func(t *testing.T) { tryCommand(t, args) })
			tried++
		}
	}
	require.Equal(t, 4, tried)
}

func tryCommand(t *testing.T, args []string) {
	switch args[0] {
	case "demo", "bench":
		startHark(t, nil, append(args, "--duration", "300ms")...).exits(t, 0)
	case "serve":
		server := startHark(t, nil, append(args, "--listen", "127.0.0.1:0")...)
		server.await(t, "msg=listening")
		server.stop(t)
	case "sub":
		redis := redistest.Start(t)
		i := slices.Index(args, "redis://localhost")
		require.Positive(t, i)
		args[i] = "redis://" + redis.Addr
		sub := startHark(t, nil, args...)
		sub.awaitReady(t)
		sub.stop(t)
	default:
		require.Fail(t, "nobody tries this", args)
	}
}

var quoted = regexp.MustCompile(`"[^"]*"|\S+`)

func words(command string) []string {
	all := quoted.FindAllString(command, -1)
	for i := range all {
		all[i] = strings.Trim(all[i], `"`)
	}
	return all
}
