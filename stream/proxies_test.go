package stream

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// writeCertificate writes a certificate for 127.0.0.1 and its key, and returns
// their files and who trusts it.
func writeCertificate(t *testing.T) (certFile, keyFile string, trust *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	folder := t.TempDir()
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(cert))
	return certFile, keyFile, &tls.Config{RootCAs: roots}
}

// One server has event streams and requests over HTTP/2, and WebSockets beside
// them, as docs/proxies.md says.
func TestHTTP2BesideWebSockets(t *testing.T) {
	r := newRig(t, Config{})
	certFile, keyFile, trust := writeCertificate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	web := r.server.HTTPServer(nil)
	done := make(chan error, 1)
	go func() { done <- web.ServeTLS(listener, certFile, keyFile) }()
	t.Cleanup(func() {
		_ = web.Close()
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	address := listener.Addr().String()
	transport := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	events, err := client.Get("https://" + address + "/events?query=a%3D1")
	require.NoError(t, err)
	defer events.Body.Close()
	require.Equal(t, 2, events.ProtoMajor)
	lines := bufio.NewScanner(events.Body)
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "id: ")

	dialer := &websocket.Dialer{TLSClientConfig: trust.Clone()}
	ws, _, err := dialer.Dial("wss://"+address+"/websocket", nil)
	require.NoError(t, err)
	defer ws.Close()
	p := &peer{t, ws}
	p.subscribe("1", "a=1")

	response, err := client.Post("https://"+address+"/publish", "application/json", strings.NewReader(`{"data":7,"events":{"a":"1"}}`))
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, []int{2, 200}, []int{response.ProtoMajor, response.StatusCode}, string(answer))
	require.Contains(t, p.receive(), `"value":7`)
	for lines.Scan() && !strings.Contains(lines.Text(), `"value":7`) {
	}
	require.Contains(t, lines.Text(), `"value":7`)
}
