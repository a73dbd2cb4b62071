package service

import (
	"log"
	"sync/atomic"

	"github.com/harkbus/pubsub/internal/usercode"
)

// A Logger takes messages with pairs of key and value. *slog.Logger and the
// loggers of Tendermint and CometBFT are Loggers.
type Logger interface {
	Debug(msg string, keyvals ...any)
	Info(msg string, keyvals ...any)
	Error(msg string, keyvals ...any)
}

// logger forwards to the Logger that was set last and drops everything while
// that is nil.
type logger struct{ to atomic.Pointer[Logger] }

func (l *logger) set(to Logger) {
	if to == nil {
		l.to.Store(nil)
		return
	}
	l.to.Store(&to)
}

func (l *logger) Debug(msg string, keyvals ...any) { l.log(Logger.Debug, msg, keyvals) }
func (l *logger) Info(msg string, keyvals ...any)  { l.log(Logger.Info, msg, keyvals) }
func (l *logger) Error(msg string, keyvals ...any) { l.log(Logger.Error, msg, keyvals) }

// tell writes a line on a goroutine of its own, which the logger may exit, and
// waits for that, unless user code has called: a logger holds locks of its own
// while it calls Stop, and cannot write the next line before it has returned. The
// caller holds no lock.
func (l *logger) tell(msg string, keyvals ...any) {
	if l.to.Load() == nil {
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.Info(msg, keyvals...)
	}()
	if !usercode.Calls() {
		<-written
	}
}

// All calls of a logger come through this.
var _ = usercode.Through((*logger).log)

// log forwards one line. A service must not fail because its logger does, so a
// panic goes no further than to the standard log.
func (l *logger) log(at func(to Logger, msg string, keyvals ...any), msg string, keyvals []any) {
	to := l.to.Load()
	if to == nil {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			log.Printf("service: logger panicked at %q: %v", msg, r)
		}
	}()
	at(*to, msg, keyvals...)
}
