package interop

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// npmCI installs what the lock file of a folder names.
func npmCI(t *testing.T, folder string) {
	t.Helper()
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = folder
	out, err := install.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// cosmjs connects, asks for the status, takes transactions, blocks and headers
// without a gap, unsubscribes, and is told when the node drains.
func TestCosmJSTakesEventsAndIsToldOfADrain(t *testing.T) {
	t.Parallel()
	npmCI(t, "cosmjs")
	n := start(t, freeAddress(t))
	client := exec.Command("node", "client.js", "ws://"+n.address, fmt.Sprint(events))
	client.Dir = "cosmjs"
	stdout, err := client.StdoutPipe()
	require.NoError(t, err)
	var stderr strings.Builder
	client.Stderr = &stderr
	require.NoError(t, client.Start())
	defer func() { _ = client.Process.Kill() }()

	var told string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "ready" {
			n.drain()
		} else {
			told = lines.Text()
		}
	}
	require.NoError(t, client.Wait(), stderr.String())
	require.Contains(t, told, "subscription was canceled (reason: the server is shutting down)")
}
