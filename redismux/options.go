package redismux

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

// Options tune a Multiplexer. The zero value of each field stands for its
// default.
type Options struct {
	// PingTimeout is how long a connection may be silent, at most, before it is
	// asked for a sign of life. Default 30 s. It is the second guard: clients of
	// FromOption notice a silent connection within 1.2 s by themselves.
	PingTimeout time.Duration

	// ReplyTimeout bounds the wait for the reply to a command, PING among them,
	// after which the connection counts as lost. Default 5 s.
	ReplyTimeout time.Duration

	// MinBackOff and MaxBackOff bound the delay before a reconnect: it is drawn
	// from zero up to a ceiling that doubles from the one to the other.
	// Defaults 8 ms and 512 ms.
	MinBackOff, MaxBackOff time.Duration

	// BufferBytes bounds what waits for callbacks: channels and messages, plus
	// 128 bytes each. Default 64 MiB.
	BufferBytes int

	// Logger gets what happens to connections. Default: nothing is logged.
	Logger *slog.Logger

	// OnError gets the refused names of subscriptions without an OnError of
	// their own. Default: they are logged.
	OnError OnErrorFunc

	// OnDialError gets each failure to connect, on the goroutine that tries: it
	// must return soon. Default: they are logged.
	OnDialError func(error)
}

func (o Options) withDefaults() Options {
	orElse(&o.PingTimeout, 30*time.Second)
	orElse(&o.ReplyTimeout, 5*time.Second)
	orElse(&o.MinBackOff, 8*time.Millisecond)
	orElse(&o.MaxBackOff, 512*time.Millisecond)
	orElse(&o.BufferBytes, 64<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnDialError == nil {
		o.OnDialError = func(error) {}
	}
	if o.OnError == nil {
		logger := o.Logger
		o.OnError = func(name string, err error) {
			logger.Warn("redismux: subscription refused", "name", name, "error", err)
		}
	}
	return o
}

func orElse[T ~int | ~int64](value *T, standard T) {
	if *value <= 0 {
		*value = standard
	}
}

// A Factory makes the client whose connections a Multiplexer uses. It is called
// for the first connection, and again when the client it made last could not
// connect; the Multiplexer closes what it no longer uses. The context ends with
// the Multiplexer: a Factory that does not heed it makes Stop wait.
type Factory func(ctx context.Context) (rueidis.Client, error)

// FromOption returns a Factory of clients made for Pub/Sub: without client-side
// caching and, unless the option says otherwise, with one pipelined connection,
// a keep-alive of 200 ms and a write timeout of 750 ms, by which a black hole is
// noticed within 1.2 s: up to two keep-alives and the timeout (rueidis' own
// defaults take 10.8 s). Raise ConnWriteTimeout where a round trip under load
// may take as long.
func FromOption(option rueidis.ClientOption) Factory {
	option.DisableCache = true
	if option.Dialer.KeepAlive == 0 {
		option.Dialer.KeepAlive = 200 * time.Millisecond
	}
	if option.ConnWriteTimeout == 0 {
		option.ConnWriteTimeout = 750 * time.Millisecond
	}
	if option.PipelineMultiplex == 0 {
		option.PipelineMultiplex = -1
	}
	return func(ctx context.Context) (rueidis.Client, error) {
		o := option
		o.InitAddress = slices.Clone(option.InitAddress) // ShuffleInit shuffles in place
		if o.DialFn == nil {
			o.DialCtxFn = dialWithin(ctx, option.DialCtxFn)
		}
		return rueidis.NewClient(o)
	}
}

type dialFunc = func(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error)

// dialWithin binds connections to life: when it ends they are closed, and those
// still being made are given up. Otherwise stopping would wait for the timeouts
// of a dead network, since rueidis dials without a context of ours.
func dialWithin(life context.Context, dial dialFunc) dialFunc {
	if dial == nil {
		dial = dialTCP
	}
	return func(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		conn, err := dial(ctx, addr, dialer, config)
		if err != nil {
			return nil, err
		}
		return &boundConn{Conn: conn, unbind: context.AfterFunc(life, func() { _ = conn.Close() })}, nil
	}
}

func dialTCP(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", addr)
}

// A boundConn is closed by the end of a context, or before.
type boundConn struct {
	net.Conn
	unbind func() bool
}

func (c *boundConn) Close() error {
	c.unbind()
	return c.Conn.Close()
}

// FromClient returns a Factory that takes connections of a client which the
// program has anyway, and never closes it. How soon a dead connection is
// noticed is up to the client's options: see FromOption. A cluster client
// finds nodes that are new to it only if it has a ShardsRefreshInterval.
func FromClient(client rueidis.Client) Factory {
	return func(context.Context) (rueidis.Client, error) {
		return borrowed{client}, nil
	}
}

type borrowed struct{ rueidis.Client }

func (borrowed) Close() {}
