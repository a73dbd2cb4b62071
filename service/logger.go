package service

import "sync/atomic"

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

func (l *logger) Debug(msg string, keyvals ...any) {
	if to := l.to.Load(); to != nil {
		(*to).Debug(msg, keyvals...)
	}
}

func (l *logger) Info(msg string, keyvals ...any) {
	if to := l.to.Load(); to != nil {
		(*to).Info(msg, keyvals...)
	}
}

func (l *logger) Error(msg string, keyvals ...any) {
	if to := l.to.Load(); to != nil {
		(*to).Error(msg, keyvals...)
	}
}
