// Package metrics has the Prometheus collector of the bus and its index. It
// links Prometheus and nothing else; the collectors of the stream server and of
// the bridge to Redis are in streammetrics and bridgemetrics below it.
//
//	registry := prometheus.NewRegistry()
//	registry.MustRegister(metrics.NewBus(bus), streammetrics.New(server))
//	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// [Handler] does that. A collector keeps nothing: it asks for the counts when
// it is scraped, which costs the bus a walk over its subscriptions in small
// steps. Labels are few and bounded: neither clients nor queries are labels.
package metrics
