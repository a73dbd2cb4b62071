package interop

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
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// onThePage returns the configuration of a kind in docs/proxies.md, with what
// differs on this machine.
func onThePage(t *testing.T, kind string, here map[string]string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/proxies.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```" + kind + "\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, block)
	text := string(block[1])
	for there, value := range here {
		require.Contains(t, text, there)
		text = strings.ReplaceAll(text, there, value)
	}
	return text
}

// writeCertificate writes a certificate for bus.example.com and its key.
func writeCertificate(t *testing.T, certFile, keyFile string) *x509.CertPool {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"bus.example.com"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(cert))
	return roots
}

// startNginx runs nginx in the foreground, as one process, until the test ends.
func startNginx(t *testing.T, folder, site string) {
	config := filepath.Join(folder, "nginx.conf")
	require.NoError(t, os.WriteFile(config, []byte(`daemon off;
master_process off;
pid `+folder+`/pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path `+folder+`/body;
    proxy_temp_path `+folder+`/proxy;
    fastcgi_temp_path `+folder+`/fastcgi;
    uwsgi_temp_path `+folder+`/uwsgi;
    scgi_temp_path `+folder+`/scgi;
`+site+`}
`), 0o600))
	cmd := exec.Command("nginx", "-c", config, "-p", folder, "-e", "stderr")
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // which a user's PATH may not have
	}
	cmd.Path, cmd.Err = path, nil
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// remote is where clients come from: unlike the proxy's address, it is not
// trusted.
const remote = "127.0.0.2"

// A visitor is a client of bus.example.com, which a proxy has at two addresses.
type visitor struct {
	t            *testing.T
	plain, tls   string // addresses
	access       string // file
	trust        *tls.Config
	dialer       *net.Dialer
	http2, http1 *http.Client
}

func newVisitor(t *testing.T, plain, secure, access string, roots *x509.CertPool) *visitor {
	v := &visitor{t: t, plain: plain, tls: secure, access: access, trust: &tls.Config{RootCAs: roots, ServerName: "bus.example.com"}}
	v.dialer = &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(remote)}}
	v.http2 = &http.Client{Transport: &http.Transport{DialContext: v.dialer.DialContext, TLSClientConfig: v.trust.Clone(), ForceAttemptHTTP2: true}}
	v.http1 = &http.Client{Transport: &http.Transport{DialContext: v.dialer.DialContext}}
	t.Cleanup(v.http2.CloseIdleConnections)
	t.Cleanup(v.http1.CloseIdleConnections)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", plain)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 30*time.Second, 10*time.Millisecond, "the proxy listens")
	return v
}

// ask sends a request for the host that the page names.
func (v *visitor) ask(client *http.Client, method, url, body string, header http.Header) *http.Response {
	v.t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(v.t, err)
	request.Header = header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Host = "bus.example.com"
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
	}
	response, err := client.Do(request)
	require.NoError(v.t, err)
	v.t.Cleanup(func() { response.Body.Close() })
	return response
}

// socket subscribes over a WebSocket.
func (v *visitor) socket(url, query string) *websocket.Conn {
	v.t.Helper()
	dialer := websocket.Dialer{NetDialContext: v.dialer.DialContext, TLSClientConfig: v.trust.Clone()}
	ws, _, err := dialer.Dial(url, http.Header{"Host": {"bus.example.com"}})
	require.NoError(v.t, err)
	v.t.Cleanup(func() { ws.Close() })
	require.NoError(v.t, ws.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"method":"subscribe","params":{"query":"`+query+`"}}`)))
	_, answer, err := ws.ReadMessage()
	require.NoError(v.t, err)
	require.Contains(v.t, string(answer), `"result":{}`)
	return ws
}

// stream opens an event stream and returns its lines.
func (v *visitor) stream(client *http.Client, url string, proto int) *bufio.Scanner {
	v.t.Helper()
	response := v.ask(client, http.MethodGet, url+"/bus/events?query=a%3D1", "", nil)
	require.Equal(v.t, []int{proto, 200}, []int{response.ProtoMajor, response.StatusCode})
	lines := bufio.NewScanner(response.Body)
	require.True(v.t, lines.Scan())
	require.Contains(v.t, lines.Text(), "id: ")
	return lines
}

// everything goes through a proxy that is configured as on the page.
func (v *visitor) everything() {
	t := v.t
	sockets := []*websocket.Conn{v.socket("ws://"+v.plain+"/bus/websocket", "a=1"), v.socket("wss://"+v.tls+"/bus/websocket", "a=1")}
	streams := []*bufio.Scanner{v.stream(v.http1, "http://"+v.plain, 1), v.stream(v.http2, "https://"+v.tls, 2)}
	for i, post := range []*http.Response{
		v.ask(v.http1, http.MethodPost, "http://"+v.plain+"/bus/publish", `{"data":"one","events":{"a":"1"}}`, http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4;host=evil.example"}}),
		v.ask(v.http2, http.MethodPost, "https://"+v.tls+"/bus/publish", `{"data":"two","events":{"a":"1"}}`, http.Header{"Content-Type": {"application/json"}, "Origin": {"https://bus.example.com"}}),
	} {
		answer, err := io.ReadAll(post.Body)
		require.NoError(t, err)
		require.Equal(t, []int{i + 1, 200}, []int{post.ProtoMajor, post.StatusCode}, string(answer))
	}
	for _, ws := range sockets {
		for _, value := range []string{"one", "two"} {
			require.NoError(t, ws.SetReadDeadline(time.Now().Add(30*time.Second)))
			_, message, err := ws.ReadMessage()
			require.NoError(t, err)
			require.Contains(t, string(message), value)
		}
	}
	for _, lines := range streams {
		for _, value := range []string{"one", "two"} {
			for lines.Scan() && !strings.Contains(lines.Text(), value) {
			}
			require.Contains(t, lines.Text(), value)
		}
	}
	foreign := v.ask(v.http2, http.MethodPost, "https://"+v.tls+"/bus/publish", "{}", http.Header{"Content-Type": {"application/json"}, "Origin": {"https://evil.test"}})
	require.Equal(t, http.StatusForbidden, foreign.StatusCode)
	rebound := v.ask(v.http1, http.MethodGet, "http://"+v.plain+"/bus/status", "", http.Header{"Host": {"evil.test"}})
	require.Contains(t, []int{http.StatusMisdirectedRequest, http.StatusNotFound}, rebound.StatusCode)

	log, err := os.ReadFile(v.access)
	require.NoError(t, err)
	posts := regexp.MustCompile(`path=/bus/publish .*remote=(\S+)`).FindAllStringSubmatch(string(log), -1)
	require.Len(t, posts, 3)
	for _, post := range posts {
		require.Equal(t, remote, post[1], "whatever the client says of itself")
	}
}

// What docs/proxies.md says of nginx has been typed.
func TestNginxAsOnThePage(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	access, certFile, keyFile := filepath.Join(folder, "access.log"), filepath.Join(folder, "hark.crt"), filepath.Join(folder, "hark.key")
	n := start(t, freeAddress(t), "--trusted-proxy", "127.0.0.1", "--allowed-host", "bus.example.com", "--access-log", access)
	roots := writeCertificate(t, certFile, keyFile)
	plain, secure := freeAddress(t), freeAddress(t)
	startNginx(t, folder, onThePage(t, "nginx", map[string]string{
		"127.0.0.1:26657": n.address, "listen 80;": "listen " + plain + ";", "listen 443 ": "listen " + secure + " ",
		"/etc/ssl/hark.crt": certFile, "/etc/ssl/hark.key": keyFile,
	}))
	newVisitor(t, plain, secure, access, roots).everything()
}
