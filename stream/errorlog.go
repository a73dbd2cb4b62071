package stream

import (
	"bytes"
	"log"
	"strings"
	"time"

	"github.com/harkbus/pubsub/service"
)

// errorLog returns what http.Server logs to: connections that cannot be accepted,
// handlers that panic, and, which is of less interest, TLS handshakes that fail.
func errorLog(to service.Logger) *log.Logger { return log.New(&logWriter{to: to}, "", 0) }

// maxLines is how many lines a second a logWriter passes on: strangers cause
// them.
const maxLines = 10

// A logWriter is called by one goroutine at a time, as package log does.
type logWriter struct {
	to     service.Logger
	second time.Time // that lines are counted for
	lines  int
}

// Write implements io.Writer.
func (w *logWriter) Write(b []byte) (int, error) {
	if w.to == nil {
		return len(b), nil
	}
	if now := time.Now().Truncate(time.Second); !now.Equal(w.second) {
		if w.lines > maxLines {
			w.to.Error("stream: http: more of these", "lines", w.lines-maxLines)
		}
		w.second, w.lines = now, 0
	}
	if w.lines++; w.lines > maxLines {
		return len(b), nil
	}
	message := string(bytes.TrimSpace(b))
	if strings.Contains(message, "TLS handshake error") {
		w.to.Info("stream: http", "message", message)
	} else {
		w.to.Error("stream: http", "message", message)
	}
	return len(b), nil
}
