package stream

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A subscription sends its id with every result, so ids are short.
func TestAnIDIsShort(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	long := func(n int) string { return `"` + strings.Repeat("A", n-2) + `"` }
	p.subscribe(long(maxID), "a=1")
	const refused = `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error. Invalid JSON","data":"error unmarshaling request: json-rpc ID is longer than 256 bytes"}}`
	for _, id := range []string{long(maxID + 1), `"` + strings.Repeat(`\u0001`, 60) + `"`, strings.Repeat("0", 300) + "1", "1." + strings.Repeat("0", 300)} {
		_, answer := r.post("/", "application/json", `{"id":`+id+`,"method":"health"}`)
		require.Contains(t, answer, "-32700")
		require.Less(t, len(answer), 400)
	}
	require.Equal(t, refused, p.call(`{"id":`+long(900_000)+`,"method":"subscribe","params":{"query":"a=2"}}`))
}

// A request that waits holds nothing of what it was sent with.
func TestAWaitingRequestHoldsNoParameters(t *testing.T) {
	const n = 20
	r := newRig(t, Config{MaxSubscriptions: n, MaxWait: time.Hour})
	p := r.dial()
	held := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC() // pools
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := held()
	pad := strings.Repeat("A", 900_000)
	for i := range n {
		p.send(fmt.Sprintf(`{"id":%d,"method":"events","params":{"filter":{"query":"never=%d"},"wait_time":60000000000,"x":"%s"}}`, i, i, pad))
	}
	eventually(t, func() bool { return r.held("pulls") == n }, "all wait")
	require.Zero(t, r.held("input_bytes"))
	after := held()
	require.Less(t, after, before+uint64(n*len(pad)/4))
	runtime.KeepAlive(pad)
}

// What is wrong is shown in part, however long it is.
func TestAnErrorShowsLittleOfWhatIsWrong(t *testing.T) {
	r := newRig(t, Config{Identify: func(*http.Request) (Identity, error) { return Identity{Admin: true}, nil }})
	digits := strings.Repeat("9", 100_000)
	for _, one := range [][2]string{
		{"/", `{"id":1,"method":"events","params":{"wait_time":` + digits + `}}`},
		{"/", `{"id":1,"method":"events","params":{"max_results":` + digits + `}}`},
		{"/", `{"id":1,"method":"events","params":` + digits + `}`},
		{"/", `{"id":1,"method":` + digits + `}`},
		{"/", `{"id":` + digits + `,"method":"health"}`},
		{"/publish", `{"topic":` + digits + `}`},
		{"/publish", `{"` + digits + `":1}`},
		{"/publish", `{"events":{"` + digits + `":1}}`},
		{"/publish", `{"topic":"` + digits + `"}`},
		{"/v1/explain", `{"query":` + digits + `}`},
		{"/v1/explain", `{"events":{"a":[` + digits + `]}}`},
	} {
		_, answer := r.post(one[0], "application/json", one[1])
		require.Less(t, len(answer), 500, one[1][:60])
		require.NotEmpty(t, answer)
	}
}

// Subscriptions of a connection and its requests that wait add up to one limit.
func TestSubscriptionsAndWaitingRequestsShareALimit(t *testing.T) {
	r := newRig(t, Config{MaxSubscriptions: 2, MaxWait: time.Hour})
	p := r.dial()
	p.subscribe("7", "a=1")
	p.waitingPull(r)
	const full = `"data":"max_subscriptions_per_client 2 reached"`
	require.Contains(t, p.call(`{"id":8,"method":"subscribe","params":{"query":"a=2"}}`), full)
	require.Contains(t, p.call(strings.Replace(waitingPull, `"id":1`, `"id":9`, 1)), full)
	require.JSONEq(t, `{"jsonrpc":"2.0","id":10,"result":{}}`, p.call(`{"id":10,"method":"unsubscribe_all"}`))
	p.subscribe("11", "a=2")
}
