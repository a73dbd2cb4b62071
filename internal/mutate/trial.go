package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A verdict is what became of a mutation.
type verdict struct {
	noticed  int    // of the runs
	timeouts int    // of those, by taking too long
	killed   int    // of those, by taking too much memory
	test     string // the first that failed
	err      error  // it could not be tried
}

// A runner tries mutations:
//
//	try ── for every package and pattern ──▶ baseline: the tests pass
//	    └─ for every mutation ──▶ one: overlay, build, run; they fail
type runner struct {
	options
	scratch string

	mu      sync.Mutex
	done    int // of total; what is printed is in order
	total   int
	passing map[string]time.Duration // by key: what the tests take without a mutation
}

// try tries all mutations and returns an error that names what was not noticed
// and what could not be tried.
func try(o options, mutations []*mutation) error {
	scratch, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	r := &runner{options: o, scratch: scratch, passing: map[string]time.Duration{}}
	if err := r.baselines(mutations); err != nil {
		return err
	}

	began := time.Now()
	verdicts := make([]verdict, len(mutations))
	r.total = len(mutations)
	r.each(len(mutations), func(i int) {
		began := time.Now()
		verdicts[i] = r.one(mutations[i], i)
		r.progress("%-8s %s, %.1f s %s", r.word(verdicts[i]), mutations[i], time.Since(began).Seconds(), verdicts[i].test)
	})
	return r.conclude(mutations, verdicts, time.Since(began))
}

// each calls do for the numbers below n, some at a time.
func (r *runner) each(n int, do func(i int)) {
	var all sync.WaitGroup
	free := make(chan struct{}, max(r.parallel, 1))
	for i := range n {
		free <- struct{}{}
		all.Go(func() {
			do(i)
			<-free
		})
	}
	all.Wait()
}

func (r *runner) progress(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	fmt.Fprintf(r.out, "[%d/%d] %s\n", r.done, r.total, fmt.Sprintf(format, args...))
}

func (r *runner) word(v verdict) string {
	switch {
	case errors.Is(v.err, errStale):
		return "STALE"
	case v.err != nil:
		return "ERROR"
	case v.noticed < r.repeat:
		return "SURVIVED"
	case v.killed > 0:
		return "memory"
	case v.timeouts > 0:
		return "timeout"
	}
	return "noticed"
}

// conclude prints the sum and returns what is wrong.
func (r *runner) conclude(mutations []*mutation, verdicts []verdict, took time.Duration) error {
	var wrong []string
	count := map[string]int{}
	for i, v := range verdicts {
		word := r.word(v)
		count[word]++
		switch {
		case v.err != nil:
			wrong = append(wrong, fmt.Sprintf("%s: %s: %v", mutations[i].place(), mutations[i].what, v.err))
		case v.noticed < r.repeat:
			wrong = append(wrong, fmt.Sprintf("%s: survived, noticed %d times of %d: %s", mutations[i].place(), v.noticed, r.repeat, mutations[i].what))
		}
	}
	fmt.Fprintf(r.out, "mutate: %d mutations in %.0f s: %d noticed by a failure, %d by a timeout, %d by their memory, %d survived, %d stale, %d in error\n",
		len(mutations), took.Seconds(), count["noticed"], count["timeout"], count["memory"], count["SURVIVED"], count["STALE"], count["ERROR"])
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\nmutate: "))
	}
	return nil
}

// baselines makes sure that what must fail passes without mutations.
func (r *runner) baselines(mutations []*mutation) error {
	builds := map[string][]*mutation{} // by folder and flags
	for _, m := range mutations {
		builds[m.build()] = append(builds[m.build()], m)
	}
	keys := slices.Sorted(maps.Keys(builds))
	r.total = len(keys)
	errs := make([]error, len(keys))
	r.each(len(keys), func(i int) {
		errs[i] = r.baseline(builds[keys[i]], filepath.Join(r.scratch, fmt.Sprintf("unmutated%d.test", i)))
		if errs[i] == nil {
			r.progress("passing  %s: the tests without a mutation", keys[i])
		}
	})
	r.done = 0
	return errors.Join(errs...)
}

// build names the test binary that m needs.
func (m *mutation) build() string {
	return strings.Join(append([]string{filepath.ToSlash(m.folder)}, m.flags...), " ")
}

// key names what is run for m.
func (m *mutation) key() string { return m.build() + " " + m.run }

// baseline builds one test binary without a mutation and runs the patterns.
func (r *runner) baseline(mutations []*mutation, binary string) error {
	if out, err := compile(mutations[0], "", binary); err != nil {
		return fmt.Errorf("%s does not build: %w\n%s", mutations[0].folder, err, out)
	}
	defer os.Remove(binary)
	var ran []string
	for _, m := range mutations {
		if slices.Contains(ran, m.run) {
			continue
		}
		ran = append(ran, m.run)
		began := time.Now()
		out, err := run(m, binary, 10*time.Minute, r.memory, "-test.v")
		if err != nil {
			return fmt.Errorf("%s: %s fails without a mutation: %w\n%s", m.place(), m.run, err, passing.ReplaceAll(out, nil))
		}
		if !bytes.Contains(out, []byte("=== RUN ")) {
			return fmt.Errorf("%s: %s runs no test", m.place(), m.run)
		}
		r.mu.Lock()
		r.passing[m.key()] = time.Since(began)
		r.mu.Unlock()
	}
	return nil
}

// one tries one mutation, number i.
func (r *runner) one(m *mutation, i int) (v verdict) {
	overlay, err := r.overlay(m, i)
	if err != nil {
		return verdict{err: err}
	}
	binary := filepath.Join(r.scratch, fmt.Sprintf("mutated%d.test", i))
	if out, err := compile(m, overlay, binary); err != nil {
		return verdict{err: fmt.Errorf("%w: it does not compile: %s", errStale, out)}
	}
	defer os.Remove(binary)
	r.mu.Lock()
	limit := 10*r.passing[m.key()] + r.timeout
	r.mu.Unlock()
	for range r.repeat {
		out, err := run(m, binary, limit, r.memory, "-test.failfast")
		if err == nil {
			continue
		}
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			return verdict{err: err}
		}
		v.noticed++
		if failed := failure.FindSubmatch(out); failed != nil && v.test == "" {
			v.test = string(failed[1])
		}
		switch {
		case errors.Is(err, errMemory):
			v.killed++
		case bytes.Contains(out, []byte("panic: test timed out")), errors.Is(err, context.DeadlineExceeded):
			v.timeouts++
		}
	}
	return v
}

var (
	failure = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	passing = regexp.MustCompile(`(?m)^(=== (RUN|PAUSE|CONT|NAME)| *--- PASS: ).*\n`)
)

// overlay writes the mutated file and what go test -overlay reads, and returns
// the path of the latter.
func (r *runner) overlay(m *mutation, i int) (string, error) {
	original, err := filepath.Abs(filepath.Join(m.folder, m.file))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errStale, err)
	}
	mutated, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	replacement := filepath.Join(r.scratch, fmt.Sprintf("mutated%d%s", i, filepath.Ext(m.file)))
	if err := os.WriteFile(replacement, []byte(mutated), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replacement}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.scratch, fmt.Sprintf("overlay%d.json", i))
	return path, os.WriteFile(path, text, 0o600)
}

// compile builds the test binary of the package that m belongs to.
func compile(m *mutation, overlay, binary string) ([]byte, error) {
	args := append([]string{"test", "-c", "-o", binary, "-overlay", overlay}, m.flags...)
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = m.folder
	return cmd.CombinedOutput()
}

// run runs the tests that m names, within a limit of time and one of memory, in
// bytes.
func run(m *mutation, binary string, limit time.Duration, memory int64, flags ...string) ([]byte, error) {
	// Beyond its limit a test binary panics by itself, unless it is stuck.
	ctx, cancel := context.WithTimeout(context.Background(), limit+10*time.Second)
	defer cancel()
	args := append(flags, "-test.run="+m.run, "-test.timeout="+limit.String())
	if usesRapid(m.folder) {
		// The next run would find the file, and nobody reads the smallest example.
		args = append(args, "-rapid.nofailfile", "-rapid.shrinktime=1ms")
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = m.folder
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	tooMuch := watchMemory(cmd.Process, memory, ended)
	err := cmd.Wait()
	close(ended)
	switch {
	case <-tooMuch:
		err = errors.Join(err, errMemory)
	case err != nil && ctx.Err() != nil:
		err = errors.Join(err, ctx.Err())
	}
	return out.Bytes(), err
}

// usesRapid tells whether the tests of a package know the flags of rapid.
func usesRapid(folder string) bool {
	paths, _ := filepath.Glob(filepath.Join(folder, "*_test.go"))
	return slices.ContainsFunc(paths, func(path string) bool {
		text, _ := os.ReadFile(path)
		return bytes.Contains(text, []byte(`"pgregory.net/rapid"`))
	})
}
