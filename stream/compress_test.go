package stream

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/query"
)

var deflating = &websocket.Dialer{EnableCompression: true}

// dialDeflate connects with permessage-deflate.
func dialDeflate(t *testing.T, r *rig, path string, header http.Header) *peer {
	t.Helper()
	ws, response, err := deflating.Dial(r.url(path), header)
	require.NoError(t, err)
	t.Cleanup(func() { ws.Close() })
	require.Contains(t, response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	return &peer{t, ws}
}

// Whoever asks for compression gets the same as whoever does not.
func TestCompressedMessagesSayTheSame(t *testing.T) {
	r := newRig(t, Config{Compress: true})
	value := `{"text":"` + strings.Repeat("to be or not to be ", 1000) + `"}`
	subscribe := func(p *peer, id, params string) {
		require.Contains(t, p.call(`{"jsonrpc":"2.0","id":`+id+`,"method":"subscribe","params":`+params+`}`), `"result":{`)
	}
	plain, packed := r.dial(), dialDeflate(t, r, "/websocket", nil)
	for _, p := range []*peer{plain, packed} {
		subscribe(p, "1", `{"query":"a=1"}`)
		subscribe(p, `"two"`, `{"query":"a=2","after":""}`)
	}
	for _, event := range []string{"1", "2"} {
		r.publish([]byte(value), map[string][]string{"a": {event}})
		want := plain.receive()
		require.Contains(t, want, value)
		require.Equal(t, want, packed.receive())
	}
	const pull = `{"jsonrpc":"2.0","id":3,"method":"events","params":{"filter":{"query":"a=1"}}}`
	require.Equal(t, plain.call(pull), packed.call(pull))

	for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
		publisher := dialDeflate(t, r, "/topic", http.Header{RoleHeader: {RolePublisher}})
		subscriber := dialDeflate(t, r, "/topic", http.Header{RoleHeader: {RoleSubscriber}})
		publisher.ws.EnableWriteCompression(true)
		require.NoError(t, publisher.ws.WriteMessage(kind, []byte(value)))
		got, payload, err := subscriber.ws.ReadMessage()
		require.NoError(t, err)
		require.Equal(t, kind, got)
		require.Equal(t, value, string(payload))
	}
}

// A publication is compressed once for all subscribers, each with its own
// prefix.
func TestAPublicationIsCompressedOnce(t *testing.T) {
	r := newRig(t, Config{Compress: true})
	var framings []*rpcFraming
	for _, id := range []string{"1", `"another"`} {
		framings = append(framings, newRPCFraming(asked{id: []byte(id), query: "a=" + id}, plain, &r.server.encodings, true))
	}
	sub, err := r.bus.Subscribe(t.Context(), "test", query.MustParse("a=1"), 1)
	require.NoError(t, err)
	r.publish(strings.Repeat("text ", 1000), map[string][]string{"a": {"1"}})
	m, err := sub.Next(t.Context())
	require.NoError(t, err)
	one, other := framings[0].result(m, 0), framings[1].result(m, 0)
	require.Equal(t, byte(opText|compressedBit), one.opcode)
	require.Same(t, &one.tail[0], &other.tail[0])
	for i, f := range []frame{one, other} {
		text, err := io.ReadAll(flate.NewReader(strings.NewReader(string(f.head) + string(f.tail) + flushMarker + "\x01\x00\x00\xff\xff")))
		require.NoError(t, err)
		whole := *framings[i]
		whole.stored = nil
		want := whole.result(m, 0)
		require.Equal(t, string(want.head)+string(want.tail), string(text))
		require.Less(t, f.size(), want.size()/4)
	}
}

// Nobody waits for a compressor, and there are no more than the limit.
func TestBusyCompressorsAreNotWaitedFor(t *testing.T) {
	r := newRig(t, Config{Compress: true, Compressors: 2})
	require.Equal(t, 2, cap(r.server.compressors.free))
	first, second := <-r.server.compressors.free, <-r.server.compressors.free
	p := dialDeflate(t, r, "/websocket", nil)
	p.subscribe("1", "a=1")
	r.publish(strings.Repeat("x", 1000), map[string][]string{"a": {"1"}})
	require.Contains(t, p.receive(), strings.Repeat("x", 1000))
	require.EqualValues(t, 1, r.server.Stats().Uncompressed)
	r.server.compressors.free <- first
	r.server.compressors.free <- second
}

// A message that is short on the wire and long in memory is bounded as any other.
func TestADecompressionBombIsRefused(t *testing.T) {
	r := newRig(t, Config{Compress: true, MaxFrame: 100_000, Topics: &SubscriptionOptions{MaxMessage: 100_000}})
	for path, header := range map[string]http.Header{"/websocket": nil, "/topic": {RoleHeader: {RolePublisher}}} {
		p := dialDeflate(t, r, path, header)
		p.ws.EnableWriteCompression(true)
		require.NoError(t, p.ws.WriteMessage(websocket.TextMessage, make([]byte, 100_001)))
		code, _, _ := p.closed()
		require.Equal(t, websocket.CloseMessageTooBig, code, path)
	}
	require.EqualValues(t, 2, refusalsOf(r.server, "size"))
}

// What decompressing takes is held of the quota of input as long as the message
// is not whole.
func TestDecompressingIsCounted(t *testing.T) {
	r := newRig(t, Config{Compress: true, InputBytes: inflaterBytes + 4<<10})
	begin := func() net.Conn {
		conn, err := r.dialRaw()
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, upgrade("/websocket", "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
		_, err = conn.Write(masked(opText|compressedBit, []byte{0})) // not the last frame of its message
		require.NoError(t, err)
		return conn
	}
	begin()
	eventually(t, func() bool { return r.server.quotas.input.held() >= inflaterBytes }, "it is held")
	refused := begin()
	require.NoError(t, refused.SetReadDeadline(time.Now().Add(patience)))
	farewell, err := io.ReadAll(refused)
	require.NoError(t, err)
	require.True(t, bytes.Contains(farewell, []byte("too many bytes being sent")), "%q", farewell)
}

func TestEventStreamsAreGzippedOnRequest(t *testing.T) {
	r := newRig(t, Config{Compress: true})
	for name, busy := range map[string]bool{"compressed": false, "all compressors are busy": true} {
		t.Run(name, func(t *testing.T) {
			if busy {
				for range cap(r.server.compressors.free) {
					one := <-r.server.compressors.free
					defer func() { r.server.compressors.free <- one }()
				}
			}
			request, err := http.NewRequest(http.MethodGet, r.http.URL+"/events?query=a%3D1", nil)
			require.NoError(t, err)
			transport := &http.Transport{} // asks for gzip, and reads it
			defer transport.CloseIdleConnections()
			response, err := transport.RoundTrip(request)
			require.NoError(t, err)
			defer response.Body.Close()
			require.True(t, response.Uncompressed)
			lines := bufio.NewReader(response.Body)
			next := func(part string) {
				for {
					line, err := lines.ReadString('\n')
					require.NoError(t, err)
					if strings.Contains(line, part) {
						return
					}
				}
			}
			next("id: ")
			for _, text := range []string{"first", "second"} {
				r.publish(strings.Repeat(text, 200), map[string][]string{"a": {"1"}})
				next(text) // without waiting for more
			}
			id := r.server.Subscriptions()[0].ID
			require.NoError(t, r.server.EndSubscription(id, "enough"))
			rest, err := io.ReadAll(lines) // checks length and sum
			require.NoError(t, err)
			require.Contains(t, string(rest), "enough")
		})
	}
	plain, err := http.NewRequest(http.MethodGet, r.http.URL+"/events?query=a%3D1", nil)
	require.NoError(t, err)
	plain.Header.Set("Accept-Encoding", "br")
	response, err := http.DefaultClient.Do(plain)
	require.NoError(t, err)
	require.Empty(t, response.Header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", response.Header.Get("Vary"))
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func TestCompressionIsWhatTheClientAsksFor(t *testing.T) {
	for offer, want := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		"permessage-deflate; client_max_window_bits":                              true,
		"permessage-deflate; server_no_context_takeover":                          true,
		"permessage-deflate; server_max_window_bits=10":                           false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":       true,
		"x-webkit-deflate-frame":                                                  false,
		"permessage-deflate; unknown":                                             false,
		"permessage-deflate;client_max_window_bits=15;client_no_context_takeover": true,
	} {
		require.Equal(t, want, offersDeflate(http.Header{"Sec-Websocket-Extensions": {offer}}), offer)
	}
	for accept, want := range map[string]bool{"": false, "gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false, "*": false, "deflate": false} {
		require.Equal(t, want, acceptsGzip(http.Header{"Accept-Encoding": {accept}}), accept)
	}
	r := newRig(t, Config{}) // off by default
	ws, response, err := deflating.Dial(r.url("/websocket"), nil)
	require.NoError(t, err)
	ws.Close()
	require.Empty(t, response.Header.Get("Sec-WebSocket-Extensions"))
}
