package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/redisbridge"
)

const redisHelp = `
The URL of Redis is that of --redis or, so that no password shows among the
processes, of the variable HARK_REDIS:

    redis://user:password@host:6379/0      rediss:// for TLS, unix:// for a socket
    redis://host:6379?addr=host2:6379      more nodes of a cluster
    redis://host:26379?master_set=main     sentinels

With keys in the file of --keys, or in the variable HARK_REDIS_KEYS, what is
sent is signed, and what is not signed by one of them is dropped. A key is a
line with its number and at least 16 bytes in hexadecimal: 1:00112233….`

// incomplete is the exit status when something was lost or skipped.
const incomplete exitStatus = 1

// redisFlags are the flags of the commands that go through Redis.
type redisFlags struct {
	url         string
	mode        string
	namespace   string
	keys        string
	partitions  int
	giveUpAfter time.Duration
}

func (f *redisFlags) addTo(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.url, "redis", "", "`URL` of Redis; HARK_REDIS if not given")
	flags.StringVar(&f.mode, "mode", "durable", `"live" (Pub/Sub) or "durable" (streams)`)
	flags.StringVar(&f.namespace, "namespace", redisbridge.DefaultNamespace, "which of the buses in that Redis")
	flags.StringVar(&f.keys, "keys", "", "`FILE` of keys that sign; HARK_REDIS_KEYS if not given")
	flags.IntVar(&f.partitions, "partitions", 1, "how many partitions the namespace has")
	flags.DurationVar(&f.giveUpAfter, "give-up-after", 0, "end if Redis, or the server of --url, cannot be reached for so long; 0 is never")
	complete(c, "mode", "live", "durable")
}

// onlyForRedis refuses flags that mean nothing with --url.
func onlyForRedis(flags *pflag.FlagSet) error {
	for _, name := range []string{"redis", "mode", "namespace", "keys", "partitions", "route"} {
		if flags.Changed(name) {
			return fmt.Errorf("--%s is for Redis: it says nothing with --url", name)
		}
	}
	return nil
}

// options returns what the flags and the environment say.
func (f *redisFlags) options() (o redisbridge.Options, err error) {
	url := f.url
	if url == "" {
		url = os.Getenv("HARK_REDIS")
	}
	if url == "" {
		return o, errors.New("no Redis: give its URL with --redis, or in the variable HARK_REDIS")
	}
	if o.Redis, err = redisbridge.ParseURL(url); err != nil {
		return o, err
	}
	switch f.mode {
	case "live":
		o.Mode = redisbridge.Live
	case "durable":
		o.Mode = redisbridge.Durable
	default:
		return o, fmt.Errorf(`--mode is %q; it is "live" or "durable"`, f.mode)
	}
	if err := checkGiveUpAfter(f.giveUpAfter); err != nil {
		return o, err
	}
	o.Namespace, o.Partitions = f.namespace, f.partitions
	o.Keys, err = f.readKeys()
	return o, err
}

func checkGiveUpAfter(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("--give-up-after is %v; it is a time such as 30s, or 0", d)
	}
	return nil
}

func (f *redisFlags) readKeys() ([]redisbridge.Key, error) {
	if f.keys != "" {
		return redisbridge.KeysFromFile(f.keys)
	}
	return redisbridge.KeysFromEnv("HARK_REDIS_KEYS")
}

// errInterrupted is why a context ended that a signal ended.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first SIGINT or SIGTERM ends; the
// next one ends the process.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stop := func() { signal.Stop(signals) }
	go func() {
		select {
		case <-signals:
			stop() // before anybody says that the next one ends the process
			cancel(errInterrupted)
		case <-ctx.Done():
			stop()
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// A member is a bridge or a reader.
type member interface {
	Stats() redisbridge.Stats
	Done() <-chan struct{}
	Err() error
}

// whileIn returns a context that ends, with the reason, when a member has ended
// or could not reach Redis for the time of --give-up-after.
func (f *redisFlags) whileIn(ctx context.Context, m member) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go f.watch(ctx, cancel, m)
	return ctx, func() { cancel(context.Canceled) }
}

func (f *redisFlags) watch(ctx context.Context, cancel context.CancelCauseFunc, m member) {
	var look <-chan time.Time // never, unless we may give up
	if f.giveUpAfter > 0 {
		ticker := time.NewTicker(max(1, min(f.giveUpAfter, time.Second)/8))
		defer ticker.Stop()
		look = ticker.C
	}
	reached := time.Now()
	for {
		select {
		case <-look:
		case <-m.Done():
			cancel(m.Err())
			return
		case <-ctx.Done():
			return
		}
		s := m.Stats()
		switch {
		case s.Connected:
			reached = time.Now()
		case time.Since(reached) > f.giveUpAfter:
			cancel(fmt.Errorf("gave up after %v without Redis: %w", f.giveUpAfter, s.LastError))
			return
		}
	}
}

// reportErrors returns an Options.OnError that tells what goes wrong.
func (a *app) reportErrors() func(error) {
	return func(err error) { a.log.Warn("trying again", "error", err) }
}

// attach starts a bus of this process's own and joins it to the others.
func attach(o redisbridge.Options) (*redisbridge.Bridge, func() error, error) {
	server := pubsub.NewServer()
	bridge, err := redisbridge.Attach(server, o)
	if err != nil {
		return nil, nil, err
	}
	if err := server.Start(); err != nil {
		return nil, nil, errors.Join(err, bridge.Close())
	}
	return bridge, func() error { return errors.Join(bridge.Close(), server.Stop()) }, nil
}
