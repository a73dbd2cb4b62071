package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// MasterSet is the name that a Sentinel knows its master by.
const MasterSet = "main"

// A Sentinel is a master, its replica and the one sentinel that watches them.
// A master that does not answer for half a second loses its office.
type Sentinel struct {
	Servers []*Server // the first was master at the start
	Watcher *Server   // the sentinel itself
}

// StartSentinel starts the three and returns when the sentinel knows the
// replica, so that a failover can begin.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	master := Start(t)
	replica := Start(t, "--replicaof", host+" "+strconv.Itoa(master.Port))
	watcher, err := launch(nil, nil, func(dir string, port int) ([]string, error) {
		file := filepath.Join(dir, "sentinel.conf") // a sentinel keeps its state in its configuration
		text := fmt.Sprintf("port %d\nbind %s\nsentinel monitor %s %s %d 1\n"+
			"sentinel down-after-milliseconds %s 500\nsentinel failover-timeout %s 2000\n",
			port, host, MasterSet, host, master.Port, MasterSet, MasterSet)
		return []string{file, "--sentinel"}, os.WriteFile(file, []byte(text), 0o600)
	})
	require.NoError(t, err)
	t.Cleanup(watcher.Close)

	s := &Sentinel{Servers: []*Server{master, replica}, Watcher: watcher}
	require.Eventually(t, func() bool {
		replicas, err := watcher.Do(t, "SENTINEL", "REPLICAS", MasterSet).ToArray()
		return err == nil && len(replicas) == 1 && replica.Info(t, "master_link_status") == "up"
	}, patience, 10*pause)
	return s
}

// Option returns what reaches the current master through the sentinel.
func (s *Sentinel) Option() rueidis.ClientOption {
	option := s.Watcher.Option()
	option.ForceSingleClient = false
	option.Sentinel = rueidis.SentinelOption{MasterSet: MasterSet, Dialer: option.Dialer}
	return option
}

// Client returns a new client of the master, closed with the test.
func (s *Sentinel) Client(t testing.TB) rueidis.Client {
	t.Helper()
	return newClient(t, s.Option())
}

// Master returns the server that the sentinel calls master.
func (s *Sentinel) Master(t testing.TB) *Server {
	t.Helper()
	addr, err := s.Watcher.Do(t, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterSet).AsStrSlice()
	require.NoError(t, err)
	require.Len(t, addr, 2)
	for _, server := range s.Servers {
		if server.Addr == net.JoinHostPort(addr[0], addr[1]) {
			return server
		}
	}
	t.Fatalf("redistest: unknown master %v", addr)
	return nil
}

// isMaster is false too while the server restarts its connections, as it does
// when its role changes.
func (s *Server) isMaster() bool {
	role, err := s.run("ROLE")
	if err != nil {
		return false
	}
	fields, err := role.ToArray()
	if err != nil || len(fields) == 0 {
		return false
	}
	name, err := fields[0].ToString()
	return err == nil && name == "master"
}

// Failover kills the master and returns the server that replaced it.
func (s *Sentinel) Failover(t testing.TB) *Server {
	t.Helper()
	old := s.Master(t)
	old.Kill()
	var master *Server
	require.Eventually(t, func() bool {
		master = s.Master(t)
		return master != old && master.isMaster()
	}, patience, 10*time.Millisecond)
	return master
}
