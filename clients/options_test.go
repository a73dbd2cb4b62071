package clients

import (
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

func TestTheLastOptionThatIsSetCounts(t *testing.T) {
	short, long := time.Second, time.Minute
	dialer := &websocket.Dialer{}
	merged := FlattenClientOptions([]Options{
		{ClientName: "ann", PongDeadline: &short, CloseDeadline: &short, WebsocketDialer: dialer, InitialHeaders: http.Header{"X": {"1"}}},
		{ClientName: "bob", PongDeadline: &long, Reconnect: true},
		{},
	})
	require.Equal(t, Options{
		ClientName: "bob", PongDeadline: &long, CloseDeadline: &short, WebsocketDialer: dialer, InitialHeaders: http.Header{"X": {"1"}},
		Reconnect: true, MaxMessage: 32 << 20,
	}, merged)

	merged = FlattenClientOptions(nil)
	require.Equal(t, 5*time.Second, *merged.PongDeadline)
	require.Equal(t, 5*time.Second, *merged.CloseDeadline)
	require.Same(t, websocket.DefaultDialer, merged.WebsocketDialer)
}

func TestHeadersOfARequestAreACopy(t *testing.T) {
	o := Options{ClientName: "ann", InitialHeaders: http.Header{"X-Mine": {"1"}}}
	require.Equal(t, http.Header{"X-Mine": {"1"}, "Pubsub": {Publisher}, "Pubsub-Client-Name": {"ann"}}, o.header(Publisher))
	require.Equal(t, http.Header{"X-Mine": {"1"}}, o.InitialHeaders)
}
