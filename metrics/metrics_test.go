package metrics_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/metrics"
	"github.com/harkbus/pubsub/metrics/bridgemetrics"
	"github.com/harkbus/pubsub/metrics/streammetrics"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/stream"
)

func TestNamesFollowPrometheus(t *testing.T) {
	bus := pubsub.NewServer()
	server, err := stream.New(bus, stream.Config{})
	require.NoError(t, err)
	defer func() { _ = server.Shutdown(t.Context()) }()
	recorder := httptest.NewRecorder()
	metrics.Handler(metrics.NewBus(bus), streammetrics.New(server)).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, recorder.Code)
	problems, err := promlint.New(recorder.Body).Lint()
	require.NoError(t, err)
	for _, p := range problems {
		require.NotContains(t, p.Metric, "hark_", p.Text)
	}
}

func TestCountsOfTheBus(t *testing.T) {
	bus := pubsub.NewServer()
	require.NoError(t, bus.Start())
	defer func() { _ = bus.Stop() }()
	sub, err := bus.SubscribeWithArgs(t.Context(), pubsub.SubscribeArgs{ClientID: "a", Query: query.All, Capacity: 4, Overflow: pubsub.DropOldest})
	require.NoError(t, err)
	for range 6 {
		require.NoError(t, bus.Publish(t.Context(), 1))
	}
	_, err = sub.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1.0, value(t, bus, "hark_bus_clients"))
	require.Equal(t, 6.0, value(t, bus, "hark_bus_matches_total"))
	require.Equal(t, 2.0, value(t, bus, "hark_bus_drops_total"))
	require.Equal(t, 3.0, value(t, bus, "hark_bus_buffered_messages"))
	require.Equal(t, 0.75, value(t, bus, "hark_bus_fullest_buffer_ratio"))
	require.Equal(t, 1.0, value(t, bus, "hark_index_queries"))
}

// A failing query is a user's, and fails as often as it is asked.
type failing string

func (q failing) String() string                            { return string(q) }
func (q failing) Matches(map[string][]string) (bool, error) { return false, errors.New("no") }

func TestSumsOverAllSubscriptions(t *testing.T) {
	bus := pubsub.NewServer()
	require.NoError(t, bus.Start())
	defer func() { _ = bus.Stop() }()
	for _, args := range []pubsub.SubscribeArgs{
		{ClientID: "full", Query: query.All, Capacity: 2, Overflow: pubsub.DropNewest},
		{ClientID: "roomy", Query: query.All, Capacity: 100},
		{ClientID: "failing", Query: failing("first")},
		{ClientID: "failing", Query: failing("second")},
	} {
		_, err := bus.SubscribeWithArgs(t.Context(), args)
		require.NoError(t, err)
	}
	for range 3 {
		require.NoError(t, bus.Publish(t.Context(), 1))
	}
	require.Equal(t, 3.0, value(t, bus, "hark_bus_publications_total"))
	require.Equal(t, 6.0, value(t, bus, "hark_bus_matches_total"))
	require.Equal(t, 5.0, value(t, bus, "hark_bus_deliveries_total"))
	require.Equal(t, 1.0, value(t, bus, "hark_bus_drops_total"))
	require.Equal(t, 5.0, value(t, bus, "hark_bus_buffered_messages"))
	require.Equal(t, 1.0, value(t, bus, "hark_bus_fullest_buffer_ratio"))
	require.Equal(t, 6.0, value(t, bus, "hark_bus_query_failures_total"))
	require.Equal(t, map[string]float64{"cancel": 3, "drop-oldest": 0, "drop-newest": 1, "block": 0}, byPolicy(t, bus))

	_, err := bus.SubscribeUnbuffered(t.Context(), "unbuffered", query.MustParse("a = 1"))
	require.NoError(t, err)
	require.Equal(t, 1.0, value(t, bus, "hark_bus_fullest_buffer_ratio"), "one without a buffer is not full")
	require.Equal(t, 1.0, byPolicy(t, bus)["block"])
}

func TestCountersDoNotFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := pubsub.NewServer()
		require.NoError(t, bus.Start())
		defer func() { _ = bus.Stop() }()
		_, err := bus.SubscribeUnbuffered(t.Context(), "leaves", query.All)
		require.NoError(t, err)
		_, err = bus.Subscribe(t.Context(), "leaves", failing("fails"))
		require.NoError(t, err)
		require.NoError(t, bus.Publish(t.Context(), 1))
		synctest.Wait()
		require.Zero(t, value(t, bus, "hark_bus_deliveries_total"), "it waits for a reader")
		require.NoError(t, bus.UnsubscribeAll(t.Context(), "leaves"))
		synctest.Wait()
		require.Zero(t, value(t, bus, "hark_bus_deliveries_total"))
		require.Equal(t, 1.0, value(t, bus, "hark_bus_drops_total"))
		require.Equal(t, 1.0, value(t, bus, "hark_bus_query_failures_total"))
	})
}

// byPolicy returns how many subscriptions there are by overflow policy.
func byPolicy(t *testing.T, bus *pubsub.Server) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(metrics.NewBus(bus)))
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "hark_bus_subscriptions" {
			for _, m := range family.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	return counts
}

func TestWaitOfTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := pubsub.NewServer()
		require.NoError(t, bus.Start())
		defer func() { _ = bus.Stop() }()
		_, err := bus.SubscribeUnbuffered(t.Context(), "a", query.All)
		require.NoError(t, err)
		require.Zero(t, value(t, bus, "hark_bus_wait_seconds"))
		require.NoError(t, bus.Publish(t.Context(), 1))
		time.Sleep(90 * time.Second)
		require.Equal(t, 90.0, value(t, bus, "hark_bus_wait_seconds"))
	})
}

// value returns the value of a metric without labels.
func value(t *testing.T, bus *pubsub.Server, name string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(metrics.NewBus(bus)))
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// The dashboard asks for metrics that there are.
func TestTheDashboardNamesMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../docs/grafana.json")
	require.NoError(t, err)
	require.True(t, json.Valid(text))
	server := pubsub.NewServer()
	wire, err := stream.New(server, stream.Config{})
	require.NoError(t, err)
	defer func() { _ = wire.Shutdown(t.Context()) }()
	descs := make(chan *prometheus.Desc, 100)
	metrics.NewBus(server).Describe(descs)
	streammetrics.New(wire).Describe(descs)
	(*bridgemetrics.Collector)(nil).Describe(descs)
	close(descs)
	known := ""
	for d := range descs {
		known += d.String()
	}
	for _, name := range []string{"hark_stream_refusals_total", "hark_stream_limit_refusals_total", "hark_stream_limit_used", `limit=\"held_bytes`} {
		require.Contains(t, string(text), name, "what is refused, and how near that is")
	}
	for _, name := range regexp.MustCompile(`hark_\w+`).FindAllString(string(text), -1) {
		require.Contains(t, known, `"`+name+`"`)
	}
}
