// Package metrics has Prometheus collectors for the bus, its index and the
// stream server.
//
//	registry := prometheus.NewRegistry()
//	registry.MustRegister(metrics.NewBus(bus), metrics.NewStream(server))
//	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// [Handler] does that. A collector keeps nothing: it asks for the counts when
// it is scraped, which costs the bus a walk over its subscriptions in small
// steps. Labels are few and bounded: neither clients nor queries are labels.
package metrics
