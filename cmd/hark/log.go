package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// logFormat is the flag --log-format.
type logFormat string

var logFormats = []string{"text", "json"}

func (f *logFormat) String() string { return string(*f) }
func (f *logFormat) Type() string   { return "format" }

func (f *logFormat) Set(s string) error {
	if !slices.Contains(logFormats, s) {
		return fmt.Errorf("it is one of %q", logFormats)
	}
	*f = logFormat(s)
	return nil
}

// newLogger returns a logger for programs if the format is json, and one for
// people, who know what time it is, if it is text.
func (f logFormat) newLogger(w io.Writer) *slog.Logger {
	if f == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
