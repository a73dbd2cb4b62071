package redistest

import (
	"crypto/tls"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/internal/certtest"
)

// StartTLS starts a server that speaks only TLS. Option and Client of the
// server trust its certificate, which lasts an hour.
func StartTLS(t testing.TB, directives ...string) *Server {
	t.Helper()
	pair := certtest.New(t, host)
	config := &tls.Config{RootCAs: pair.Trust(), ServerName: host, MinVersion: tls.VersionTLS12}

	s, err := launch(config, nil, func(dir string, port int) ([]string, error) {
		certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		pair.Write(t, certFile, keyFile)
		args := append(defaults(0), "--tls-port", strconv.Itoa(port), "--tls-auth-clients", "no",
			"--tls-cert-file", certFile, "--tls-key-file", keyFile)
		return append(args, directives...), nil
	})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}
