// Package metric holds what the collectors of package metrics and below share.
package metric

import "github.com/prometheus/client_golang/prometheus"

// A Metric is a description with its kind.
type Metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Counter returns a metric that only grows.
func Counter(name, help string, labels ...string) Metric {
	return Metric{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

// Gauge returns a metric that goes up and down.
func Gauge(name, help string, labels ...string) Metric {
	return Metric{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

// Send sends one sample.
func (m Metric) Send(to chan<- prometheus.Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

// Describe sends the descriptions of all.
func Describe(to chan<- *prometheus.Desc, all ...Metric) {
	for _, m := range all {
		to <- m.desc
	}
}
