package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/harkbus/pubsub/stream"
)

// openAccessLog opens what --access-log names. Who moves the file away copies
// and truncates it: it stays open.
func (a *app) openAccessLog(name string) (io.WriteCloser, error) {
	switch name {
	case "":
		return nopCloser{io.Discard}, nil
	case "-":
		return nopCloser{a.err}, nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("--access-log: %w", err)
	}
	return f, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// newAccessLogger returns the logger of the access log, in the format of
// --log-format, whose lines have the time in any case.
func (l *logging) newAccessLogger(w io.Writer) *slog.Logger {
	if l.format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// loadWebhook returns nil if there is no --webhook.
func (o *serveOptions) loadWebhook() (*stream.Webhook, error) {
	switch {
	case o.webhook.URL == "" && o.webhookKey != "":
		return nil, fmt.Errorf("--webhook-key is for --webhook")
	case o.webhook.URL == "":
		return nil, nil
	case o.webhookKey == "":
		return &o.webhook, nil
	}
	text, err := os.ReadFile(o.webhookKey)
	if err != nil {
		return nil, fmt.Errorf("--webhook-key: %w", err)
	}
	o.webhook.Key = bytes.TrimSpace(text)
	if len(o.webhook.Key) < minSecret {
		return nil, fmt.Errorf("--webhook-key: the secret has %d bytes; it needs %d", len(o.webhook.Key), minSecret)
	}
	return &o.webhook, nil
}
