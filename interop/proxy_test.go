package interop

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A proxy is a process between clients and a server, which can cut all
// connections at once, and be killed.
type proxy struct {
	t           *testing.T
	address, to string
	cmd         *exec.Cmd // nil: it is not running
}

// start starts the process and returns when it listens.
func (p *proxy) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), "HARK_PROXY="+p.address, "HARK_PROXY_TO="+p.to)
	p.cmd.Stderr = os.Stderr
	_, err := p.cmd.StdinPipe() // until this process ends
	require.NoError(p.t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(p.t, err)
	require.Equal(p.t, "listening\n", line)
}

// cut ends all connections.
func (p *proxy) cut() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGHUP))
}

// kill ends the process, as kill -9 does.
func (p *proxy) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	p.cmd = nil
}

// runProxy is the process. It ends with its standard input.
func runProxy(address, to string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	var links links
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			links.cut()
		}
	}()
	go links.serve(l, to)
	_, _ = os.Stdout.WriteString("listening\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// links are the connections of a proxy.
type links struct {
	mu   sync.Mutex
	open []net.Conn // those that have ended among them
}

func (ls *links) serve(l net.Listener, to string) {
	for {
		client, err := l.Accept()
		if err != nil {
			panic(err)
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			client.Close()
			continue
		}
		ls.mu.Lock()
		ls.open = append(ls.open, client, server)
		ls.mu.Unlock()
		go pass(client, server)
		go pass(server, client)
	}
}

func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	to.Close()
	from.Close()
}

// cut resets all connections.
func (ls *links) cut() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, conn := range ls.open {
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	ls.open = nil
}
