package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemoEndsWithItsSummaryOnInterrupt(t *testing.T) {
	command := exec.Command("hark", "demo", "--rate", "100", "--duration", "0")
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())

	begun := make([]byte, 1)
	_, err = stdout.Read(begun)
	require.NoError(t, err)
	require.NoError(t, command.Process.Signal(os.Interrupt))

	var rest bytes.Buffer
	_, err = rest.ReadFrom(stdout)
	require.NoError(t, err)
	require.NoError(t, command.Wait())
	require.Contains(t, rest.String(), "  latency ")
}
