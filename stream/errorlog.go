package stream

import (
	"bytes"
	"log"

	"github.com/harkbus/pubsub/service"
)

// errorLog returns what http.Server logs to: TLS handshakes that fail and
// handlers that panic.
func errorLog(to service.Logger) *log.Logger { return log.New(logWriter{to}, "", 0) }

type logWriter struct{ to service.Logger }

// Write implements io.Writer.
func (w logWriter) Write(b []byte) (int, error) {
	if w.to != nil {
		w.to.Debug("stream: http", "message", string(bytes.TrimSpace(b)))
	}
	return len(b), nil
}
