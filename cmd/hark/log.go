package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// logLevel is the flag --log-level.
type logLevel slog.Level

func (l *logLevel) String() string     { return strings.ToLower(slog.Level(*l).String()) }
func (l *logLevel) Type() string       { return "level" }
func (l *logLevel) Set(s string) error { return (*slog.Level)(l).UnmarshalText([]byte(s)) }

// logging is what --log-format and --log-level say of what is reported on
// standard error.
type logging struct {
	format logFormat
	level  slog.Level
}

func (l *logging) addTo(root *cobra.Command) {
	l.format = "text"
	flags := root.PersistentFlags()
	flags.Var(&l.format, "log-format", `"text" or "json", of what is reported on standard error`)
	flags.Var((*logLevel)(&l.level), "log-level", "debug, info, warn or error: what is less is not reported")
	complete(root, "log-format", logFormats...)
	complete(root, "log-level", "debug", "info", "warn", "error")
}

// fill takes from the environment what was not given on the command line.
func (l *logging) fill(flags *pflag.FlagSet) error {
	for _, name := range []string{"log-format", "log-level"} {
		value := os.Getenv(variable(name))
		if value == "" || flags.Changed(name) {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("%s: %w", variable(name), err)
		}
	}
	return nil
}

// newLogger returns a logger for programs if the format is json, and one for
// people, who know what time it is, if it is text.
func (l *logging) newLogger(w io.Writer) *slog.Logger {
	options := slog.HandlerOptions{Level: l.level}
	if l.format == "json" {
		return slog.New(slog.NewJSONHandler(w, &options))
	}
	options.ReplaceAttr = withoutTime
	return slog.New(slog.NewTextHandler(w, &options))
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
