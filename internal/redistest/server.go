package redistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

const (
	host = "127.0.0.1"

	// patience bounds every wait for a server: thirty times what a busy machine
	// needs.
	patience = 30 * time.Second
	pause    = 2 * time.Millisecond
)

// A Server is one redis-server. Its methods may be called from any goroutine.
type Server struct {
	Addr string // host:port
	Port int

	dir        string
	directives []string
	env        []string    // beside that of this process
	tls        *tls.Config // nil without TLS

	mu    sync.Mutex
	proc  *process
	admin rueidis.Client // made by the first Do
}

// Start starts a server with the given configuration directives, which follow
// those of the kit and so override them: Start(t, "--appendonly", "yes").
func Start(t testing.TB, directives ...string) *Server {
	t.Helper()
	s, err := NewServer(directives...)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// NewServer is Start for a TestMain. The caller closes the server.
func NewServer(directives ...string) (*Server, error) {
	return launch(nil, nil, func(_ string, port int) ([]string, error) {
		return append(defaults(port), directives...), nil
	})
}

func defaults(port int) []string {
	return []string{"--port", strconv.Itoa(port), "--bind", host, "--save", "", "--appendonly", "no"}
}

// launch tries ports until a server has one: another process may take it
// between the look and the bind. Directives may write files into dir; env is
// beside the environment of this process.
func launch(config *tls.Config, env []string, directives func(dir string, port int) ([]string, error)) (*Server, error) {
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		return nil, err
	}
	var lastErr error
	for range 20 {
		port := freePort()
		args, err := directives(dir, port)
		if err != nil {
			lastErr = err
			break
		}
		s := &Server{Addr: net.JoinHostPort(host, strconv.Itoa(port)), Port: port, dir: dir, directives: args, env: env, tls: config}
		if lastErr = s.start(); lastErr == nil {
			return s, nil
		}
		if !errors.Is(lastErr, errPortTaken) {
			break
		}
	}
	_ = os.RemoveAll(dir)
	return nil, lastErr
}

var errPortTaken = errors.New("redistest: the port was taken meanwhile")

// freePort returns a port below the ephemeral range, which no outgoing
// connection can take, and below 55536, so that the bus port of a cluster node,
// 10,000 above, exists. Both were free a moment ago.
func freePort() int {
	for {
		port := 12000 + rand.IntN(9000)
		if isFree(port) && isFree(port+10000) {
			return port
		}
	}
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func (s *Server) start() error {
	proc, err := startServer(s.dir, s.env, s.directives)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	if err := s.awaitReady(proc); err != nil {
		proc.kill()
		return err
	}
	return nil
}

// awaitReady returns when the server answers PING, whatever it answers: with a
// password set that is an error.
func (s *Server) awaitReady(proc *process) error {
	var lastErr error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		if !proc.alive() {
			return s.startError()
		}
		conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil {
			lastErr = err
			continue
		}
		_ = conn.Close()
		if lastErr = s.ping(); lastErr == nil {
			return nil
		}
	}
	return fmt.Errorf("redistest: redis-server %s not ready: %w", s.Addr, lastErr)
}

func (s *Server) ping() error {
	client, err := rueidis.NewClient(s.Option())
	if err != nil {
		if _, refused := rueidis.IsRedisErr(err); refused && !strings.HasPrefix(err.Error(), "LOADING") {
			return nil
		}
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return client.Do(ctx, client.B().Ping().Build()).Error()
}

// Log returns what the server has logged, in all its lives.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.dir, "log"))
	require.NoError(t, err)
	return string(log)
}

func (s *Server) startError() error {
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	if strings.Contains(string(log), "Address already in use") {
		_ = os.Remove(filepath.Join(s.dir, "log"))
		return errPortTaken
	}
	return fmt.Errorf("redistest: redis-server ended: %s", log)
}

// Option returns what reaches the server: one pipelined connection, without
// caching, and the client's own timeouts.
func (s *Server) Option() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:       []string{s.Addr},
		TLSConfig:         s.tls.Clone(),
		PipelineMultiplex: -1, // one connection
		DisableCache:      true,
		ForceSingleClient: true,
	}
}

// Client returns a new client of the server, closed with the test.
func (s *Server) Client(t testing.TB) rueidis.Client {
	t.Helper()
	return newClient(t, s.Option())
}

func newClient(t testing.TB, option rueidis.ClientOption) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// Do runs one command on a connection of the kit and fails the test when the
// server refuses it.
func (s *Server) Do(t testing.TB, args ...string) rueidis.RedisResult {
	t.Helper()
	result, err := s.run(args...)
	require.NoError(t, err, "%v", args)
	return result
}

func (s *Server) run(args ...string) (rueidis.RedisResult, error) {
	client, err := s.administration()
	if err != nil {
		return rueidis.RedisResult{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result := client.Do(ctx, client.B().Arbitrary(args...).Build())
	if err := result.Error(); err != nil && !rueidis.IsRedisNil(err) {
		return result, fmt.Errorf("redistest: %s: %w", strings.Join(args, " "), err)
	}
	return result, nil
}

// text returns a reply as text; the client leaves the type of a RESP3 verbatim
// string before it.
func text(result rueidis.RedisResult) (string, error) {
	t, err := result.ToString()
	return strings.TrimPrefix(t, "txt:"), err
}

func (s *Server) administration() (rueidis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin != nil {
		return s.admin, nil
	}
	client, err := rueidis.NewClient(s.Option())
	if err != nil {
		return nil, err
	}
	s.admin = client
	return client, nil
}

// Kill ends the server as a power cut would. Restart brings it back.
func (s *Server) Kill() {
	s.mu.Lock()
	proc, admin := s.proc, s.admin
	s.proc, s.admin = nil, nil
	s.mu.Unlock()
	if admin != nil {
		admin.Close()
	}
	if proc != nil {
		proc.kill()
	}
}

// Restart starts the server again, on the same port and directory, after Kill
// or instead of it.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	require.NoError(t, s.start())
}

// Pause stops the server's process: connections stay, nothing is answered.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
}

// Resume ends a Pause.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGCONT)
}

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotNil(t, s.proc, "the server is not running")
	require.NoError(t, s.proc.signal(sig))
}

// Info returns one field of INFO, "" when there is none.
func (s *Server) Info(t testing.TB, field string) string {
	t.Helper()
	info, err := text(s.Do(t, "INFO", "everything"))
	require.NoError(t, err)
	for line := range strings.SplitSeq(info, "\r\n") {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return value
		}
	}
	return ""
}

// KillClients closes the connections that CLIENT LIST shows with all the given
// words, such as "name=reader" or "sub=1", except those of the kit. It returns
// how many they were.
func (s *Server) KillClients(t testing.TB, words ...string) int {
	t.Helper()
	own, err := s.Do(t, "CLIENT", "ID").AsInt64()
	require.NoError(t, err)
	list, err := text(s.Do(t, "CLIENT", "LIST"))
	require.NoError(t, err)
	killed := 0
	for line := range strings.SplitSeq(strings.TrimSpace(list), "\n") {
		fields := strings.Fields(line)
		matches := !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(fields, w) })
		id := strings.TrimPrefix(fields[0], "id=")
		if matches && id != strconv.FormatInt(own, 10) {
			n, err := s.Do(t, "CLIENT", "KILL", "ID", id).AsInt64()
			require.NoError(t, err)
			killed += int(n)
		}
	}
	return killed
}

// Close ends the server and removes what it wrote.
func (s *Server) Close() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// Run runs one command on a connection of the kit. It returns what the server
// says, be it a refusal.
func (s *Server) Run(args ...string) (rueidis.RedisResult, error) { return s.run(args...) }
