package stream

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// An accessEntry is one line of the access log: a request, or the connection
// that it became. It is for one goroutine at a time.
type accessEntry struct {
	method, path string
	began        time.Time
	status       int   // 0: nothing was answered
	sent         int64 // bytes, without headers
}

// Most bytes of what a client chose in a line of the access log.
const (
	maxLoggedMethod = 16
	maxLoggedPath   = 512
)

func newAccessEntry(r *http.Request) accessEntry {
	return accessEntry{method: truncateUTF8(r.Method, maxLoggedMethod), path: truncateUTF8(r.URL.EscapedPath(), maxLoggedPath), began: time.Now()}
}

// answered takes note of the status; the first counts.
func (e *accessEntry) answered(status int) {
	if e.status == 0 {
		e.status = status
	}
}

// log writes the visit's line of the access log. Neither a query, which may be
// private, nor a token, which Tokens has taken out of the path, is in it.
func (v *visit) log() {
	l, e := v.server.config.AccessLog, &v.entry
	if l == nil {
		return
	}
	l.LogAttrs(context.Background(), slog.LevelInfo, "access",
		slog.String("method", e.method),
		slog.String("path", e.path),
		slog.Int("status", e.status),
		slog.Int64("bytes", e.sent),
		slog.Duration("duration", time.Since(e.began)),
		slog.String("identity", truncateUTF8(v.identity().Name, maxLoggedPath)),
		slog.String("remote", v.ip),
	)
}
