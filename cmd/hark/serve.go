package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/env"
	"github.com/harkbus/pubsub/history"
	"github.com/harkbus/pubsub/metrics"
	"github.com/harkbus/pubsub/metrics/bridgemetrics"
	"github.com/harkbus/pubsub/metrics/streammetrics"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/redisbridge"
	"github.com/harkbus/pubsub/sim"
	"github.com/harkbus/pubsub/stream"
	"github.com/harkbus/pubsub/stream/comet"
)

const serveLong = `Serve offers a bus over HTTP:

    any path, header "pubsub: publisher" or "subscriber"   a topic
    …/websocket              JSON-RPC 2.0 over WebSocket, as CometBFT's nodes
    POST / and /v1           JSON-RPC: status, health, events
    GET /events?query=…      Server-Sent Events
    POST /publish            publications, JSON or one a line
    GET /presence?topic=…    who is subscribed, with --presence
    GET /livez, /readyz      is it alive, does it take connections and see the
                             publications of other processes
    GET /metrics, /v1/stats, /v1/subscriptions, /v1/check, POST /v1/explain
                             for administrators, or on --admin-listen

It listens on this machine only, unless there are tokens or --insecure says
that everybody may do everything. SIGTERM or an interrupt drains it: what is
buffered is sent, every subscription is told, and it exits with status 0. A
second one ends it at once.

With --redis its bus is one with those of other processes. If that ends, because
the namespace has more than one partition, it drains too, and exits with status 2.

Settings come from flags, else from the environment (--max-clients is
HARK_MAX_CLIENTS; PUBSUB_ADDR is --listen), else from the JSON object in the
file of --config, whose fields are named as the flags are.
` + redisHelp

const serveExamples = `  hark serve --simulate 500
  PUBSUB_ADDR=127.0.0.1:8080 hark serve
  hark serve --listen :443 --tls-cert cert.pem --tls-key key.pem --token-key public.pem --token-algorithm ES256 --token-audience hark`

// serveExpressionBudget lets regular expressions take less than half a second
// of a publication, whatever clients subscribe to. A value of 31,000 bytes is
// within it for all that --all-expressions lets them have, and one of 1 MB for
// up to 64 instructions, of which one query has at most 15.
const serveExpressionBudget = 64_000_000

// serveOptions are the flags of serve.
type serveOptions struct {
	listen, adminListen string
	insecure            bool
	tlsCert, tlsKey     string
	tokens              tokenOptions
	topicMessage        int
	allowedHosts        []string
	trustedProxies      []string
	forwardedHeader     bool
	simulate            float64
	seed                uint64
	drain               time.Duration
	queue               int
	expressionBudget    int64
	windowCount         int
	windowBytes         int
	overflow            string
	config              stream.Config
	presence            bool
	accessLog           string
	webhook             stream.Webhook
	webhookKey          string
	redis               redisFlags
	file                string
}

func (a *app) newServe() *cobra.Command {
	o := serveOptions{}
	c := &cobra.Command{
		Use:               "serve",
		Short:             "Offer a bus over HTTP and WebSocket",
		Long:              serveLong,
		Example:           serveExamples,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.file == "" {
				o.file = os.Getenv(variable("config"))
			}
			if err := fill(c.Flags(), o.file, serveEnvironment); err != nil {
				return err
			}
			a.log = a.logging.newLogger(a.err) // the file may say how
			c.Flags().Visit(func(f *pflag.Flag) {
				if strings.HasPrefix(f.Name, "token-") {
					o.tokens.given = append(o.tokens.given, f.Name)
				}
			})
			ctx, stop := interruptible()
			defer stop()
			return a.serve(ctx, o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.listen, "listen", "127.0.0.1:26657", "address to listen on")
	f.StringVar(&o.adminListen, "admin-listen", "", "address of a listener for administrators, without authentication")
	f.BoolVar(&o.insecure, "insecure", false, "listen to other machines without authentication")
	f.StringVar(&o.tlsCert, "tls-cert", "", "file with the certificate, PEM; read again when it changes")
	f.StringVar(&o.tlsKey, "tls-key", "", "file with its key, PEM")
	f.StringVar(&o.tokens.keyFile, "token-key", "", "file with the key of JSON Web Tokens: PEM public key, or a secret")
	f.StringSliceVar(&o.tokens.algorithms, "token-algorithm", nil, "algorithms that tokens may have")
	f.StringVar(&o.tokens.audience, "token-audience", "", "audience that tokens must have")
	f.StringVar(&o.tokens.issuer, "token-issuer", "", "issuer that tokens must have, if not empty")
	f.StringVar(&o.tokens.adminClaim, "token-admin-claim", "", "claim that makes an administrator if it is true")
	f.StringVar(&o.tokens.publishClaim, "token-publish-claim", "publish", "claim with what its bearer may publish; empty: every token may publish everything")
	f.StringVar(&o.tokens.subscribeClaim, "token-subscribe-claim", "subscribe", "claim with what its bearer may subscribe to; a token without it may to everything")
	f.StringVar(&o.tokens.presenceClaim, "token-presence-claim", "presence", "claim with whose subscribers its bearer may see; empty: every token may see all")
	f.BoolVar(&o.presence, "presence", false, "tell who is subscribed, and when somebody comes or leaves")
	f.StringSliceVar(&o.allowedHosts, "allowed-host", nil, `hosts that requests may name besides addresses; "*" is all`)
	f.StringSliceVar(&o.trustedProxies, "trusted-proxy", nil, "addresses and networks of proxies whose X-Forwarded-For, -Proto and -Host are believed")
	f.BoolVar(&o.forwardedHeader, "forwarded-header", false, "believe the header Forwarded of trusted proxies, and not X-Forwarded-*")
	f.StringSliceVar(&o.config.Origins, "origin", nil, `web origins allowed besides the server's own, "https://app.example.com"`)
	f.Float64Var(&o.simulate, "simulate", 0, "publish a simulated chain, so many transactions a second")
	f.Uint64Var(&o.seed, "seed", 1, "which chain to simulate")
	f.BoolVar(&o.config.Carrier, "carrier", false, "send data as strings that CometBFT's Go client takes whatever their type")
	f.BoolVar(&o.config.Compress, "compress", false, "compress for clients that ask for it: permessage-deflate, and gzip of event streams")
	f.IntVar(&o.config.Compressors, "compressors", 4, "messages that are compressed at once; the others go out as they are")
	f.IntVar(&o.config.MaxConnections, "max-connections", 900, "connections")
	f.IntVar(&o.config.MaxConnectionsPerIP, "max-connections-per-ip", 0, "connections from one address; 0 is no limit")
	f.IntVar(&o.config.MaxConnectionsPerIdentity, "max-connections-per-identity", 0, "connections of one identity; 0 is no limit")
	f.IntVar(&o.config.MaxOpen, "max-open", 2000, "network connections, without WebSockets; one that is idle makes room")
	f.IntVar(&o.config.MaxOpenPerIP, "max-open-per-ip", 0, "of one address; 0 is no limit")
	f.IntVar(&o.config.MaxRequests, "max-requests", 1000, "requests being answered")
	f.IntVar(&o.config.MaxRequestsPerIP, "max-requests-per-ip", 0, "of one address; 0 is no limit")
	f.IntVar(&o.config.MaxRequestsPerIdentity, "max-requests-per-identity", 0, "of one identity; 0 is no limit")
	f.IntVar(&o.config.MaxPulls, "max-pulls", 500, "events requests that wait")
	f.IntVar(&o.config.MaxPullsPerIP, "max-pulls-per-ip", 0, "of one address; 0 is no limit")
	f.IntVar(&o.config.MaxPullsPerIdentity, "max-pulls-per-identity", 0, "of one identity; 0 is no limit")
	f.IntVar(&o.config.InputBytes, "input-bytes", 128<<20, "bytes of messages and bodies that are being sent, beyond 4 KiB of each")
	f.IntVar(&o.config.InputBytesPerIP, "input-bytes-per-ip", 0, "of one address; 0 is no limit")
	f.IntVar(&o.config.InputBytesPerIdentity, "input-bytes-per-identity", 0, "of one identity; 0 is no limit")
	f.IntVar(&o.config.AnswerBytes, "answer-bytes", 64<<20, "bytes of answers to events requests, until they are taken")
	f.IntVar(&o.config.AnswerBytesPerIP, "answer-bytes-per-ip", 0, "of one address; 0 is no limit")
	f.IntVar(&o.config.AnswerBytesPerIdentity, "answer-bytes-per-identity", 0, "of one identity; 0 is no limit")
	f.IntVar(&o.config.MaxAnswer, "max-answer", 4<<20, "bytes of one answer to events requests")
	f.IntVar(&o.config.MaxFrame, "max-frame", 1_000_000, "bytes of a message or a body")
	f.IntVar(&o.topicMessage, "max-topic-message", 32<<20, "bytes of a message on a topic")
	f.DurationVar(&o.config.ReadTimeout, "read-timeout", 30*time.Second, "silence of a client, and time to send a message")
	f.DurationVar(&o.config.WriteTimeout, "write-timeout", 10*time.Second, "time in which a client must take something")
	f.DurationVar(&o.config.Heartbeat, "heartbeat", 5*time.Second, "how often a client with cursors that has nothing to read is told where it is")
	f.IntVar(&o.config.MaxClients, "max-clients", 100, "connections with a subscription")
	f.IntVar(&o.config.MaxSubscriptions, "max-subscriptions", 5, "subscriptions of one connection")
	f.IntVar(&o.config.MaxExpression, "max-expression", 100, "instructions of the regular expressions of one query")
	f.IntVar(&o.config.MaxExpressions, "max-expressions", 200, "instructions of those of one connection")
	f.IntVar(&o.config.AllExpressions, "all-expressions", 2000, "instructions of those of all connections")
	f.Int64Var(&o.expressionBudget, "expression-budget", serveExpressionBudget, "steps, one instruction over one byte, that a publication may spend on them")
	f.Int64Var(&o.config.ReplaySteps, "replay-steps", 500_000_000, "steps that one request may spend on them over the window")
	f.IntVar(&o.config.Buffer, "buffer", 200, "messages that wait for one subscription")
	f.StringVar(&o.overflow, "overflow", "cancel", "what happens when the buffer is full: cancel, close, drop-oldest or drop-newest")
	f.IntVar(&o.config.HeldBytes, "held-bytes", 0, "bytes that wait for clients, in their buffers and to be written, for all together; 0 is any number")
	f.IntVar(&o.windowCount, "window-count", history.DefaultWindowCount, "publications kept for clients that come back")
	f.IntVar(&o.windowBytes, "window-bytes", history.DefaultWindowBytes, "bytes of them")
	f.IntVar(&o.queue, "queue", 1000, "publications that wait to be dispatched")
	f.DurationVar(&o.drain, "drain-timeout", 10*time.Second, "time for clients, and for Redis, to take what is left when the server ends")
	f.StringVar(&o.accessLog, "access-log", "", `file to which a line is added for each request, "-" for standard error`)
	f.StringVar(&o.webhook.URL, "webhook", "", "URL to which refused and slow clients are reported")
	f.StringVar(&o.webhookKey, "webhook-key", "", "file with the secret that signs these reports")
	f.DurationVar(&o.webhook.Timeout, "webhook-timeout", 5*time.Second, "time for one of these reports")
	o.redis.addTo(c)
	f.StringVar(&o.file, "config", "", "file with settings, JSON")
	complete(c, "overflow", "cancel", "close", "drop-oldest", "drop-newest")
	return c
}

// serveEnvironment reads a variable; PUBSUB_ADDR stands for HARK_LISTEN.
func serveEnvironment(name string) string {
	if value := os.Getenv(name); value != "" || name != variable("listen") {
		return value
	}
	listen, err := env.Listen()
	if err != nil {
		return os.Getenv(env.Addr) // so that listening says what is wrong
	}
	return listen
}

// served is what serve runs.
type served struct {
	app     *app
	options serveOptions
	bus     *pubsub.Server
	stream  *stream.Server
	bridge  *redisbridge.Bridge // nil: no Redis
	joined  atomic.Bool         // the bridge has reached Redis
	tokens  *stream.Tokens
	chain   *comet.Chain // nil: nothing is simulated
}

func (a *app) serve(ctx context.Context, o serveOptions) error {
	if !(o.simulate >= 0) {
		return fmt.Errorf("--simulate is %v; it is a number of transactions a second, or 0", o.simulate)
	}
	tokens, err := o.tokens.load()
	if err != nil {
		return err
	}
	if err := stream.CheckListen(o.listen, tokens != nil, o.insecure); err != nil {
		return fmt.Errorf("%w (--token-key, --listen or --insecure)", err)
	}
	access, err := a.openAccessLog(o.accessLog)
	if err != nil {
		return err
	}
	defer access.Close()
	if o.config.AccessLog = a.logging.newAccessLogger(access); o.accessLog == "" {
		o.config.AccessLog = nil
	}
	if o.config.Webhook, err = o.loadWebhook(); err != nil {
		return err
	}
	s := &served{app: a, options: o, tokens: tokens}
	if err := s.build(); err != nil {
		return err
	}
	listeners, err := s.open()
	if err != nil {
		return err
	}
	return s.run(ctx, listeners)
}

// build makes the bus and what offers it.
func (s *served) build() (err error) {
	var registry stream.Registry
	comet.Register(&registry)
	c := s.options.config
	c.Encoder = registry.Encode
	c.History = history.NewWindow(s.options.windowCount, s.options.windowBytes)
	c.Overflow = stream.Overflow(s.options.overflow)
	c.Logger = s.app.log
	c.Ready = s.ready
	c.Topics = &stream.SubscriptionOptions{MaxMessage: s.options.topicMessage}
	c.AllowHost = s.options.allowHost()
	c.ForwardedHeader = s.options.forwardedHeader
	if c.TrustedProxies, err = stream.ParseProxies(s.options.trustedProxies); err != nil {
		return fmt.Errorf("--trusted-proxy: %w", err)
	}
	if s.options.presence {
		c.Presence = func(stream.Identity) (*query.Query, error) { return nil, nil }
	}
	if s.tokens != nil {
		if s.options.presence {
			c.Presence = s.tokens.Presence
		}
		c.Identify, c.Refresh = s.tokens.Identify, s.tokens.Refresh
		c.Narrow, c.AllowPublish = s.tokens.Narrow, s.tokens.AllowPublish
	}
	if s.options.simulate > 0 {
		s.chain = comet.New("hark-1", s.options.seed)
		c.Status = s.chain.Status
	}
	s.bus = pubsub.NewServer(pubsub.BufferCapacity(s.options.queue), pubsub.ExpressionBudget(s.options.expressionBudget))
	s.bus.SetLogger(s.app.log)
	s.stream, err = stream.New(s.bus, c)
	if err == nil {
		err = s.join()
	}
	if err != nil {
		return err
	}
	bus, wire := metrics.NewBus(s.bus), streammetrics.New(s.stream)
	if s.bridge == nil {
		s.stream.SetMetrics(metrics.Handler(bus, wire))
	} else {
		s.stream.SetMetrics(metrics.Handler(bus, wire, bridgemetrics.New(s.bridge)))
	}
	return nil
}

// allowHost returns which hosts requests may name, to either listener: an address
// for one that others reach is harmless at the other, since no page has it for a
// name.
func (o *serveOptions) allowHost() func(host string) bool {
	main := stream.AllowHosts(o.listen, o.allowedHosts...)
	if o.adminListen == "" {
		return main
	}
	admin := stream.AllowHosts(o.adminListen, o.allowedHosts...)
	return func(host string) bool { return main(host) || admin(host) }
}

// join joins the bus to those of other processes, if there is a Redis.
func (s *served) join() error {
	if s.options.redis.url == "" && os.Getenv("HARK_REDIS") == "" {
		if s.options.redis.giveUpAfter != 0 {
			return errors.New("--give-up-after is for --redis")
		}
		return nil
	}
	o, err := s.options.redis.options()
	if err != nil {
		return err
	}
	if s.options.redis.partitions > 1 {
		return errors.New("--partitions is for pub and sub: serve keeps all publications in one order")
	}
	types := codec.NewRegistry()
	if err := errors.Join(
		codec.Register[comet.Tx](types, comet.TypeTx),
		codec.Register[comet.NewBlock](types, comet.TypeNewBlock),
		codec.Register[comet.NewBlockHeader](types, comet.TypeNewBlockHeader),
		codec.Register[stream.TopicMessage](types, "hark/topic"),
	); err != nil {
		return err
	}
	o.Types, o.OnError, o.CloseTimeout = types, s.app.reportErrors(), s.flushTime()
	o.OnGap = func(g redisbridge.Gap) { s.app.log.Warn("gap", "gap", g.String()) }
	s.bridge, err = redisbridge.Attach(s.bus, o)
	return err
}

// ready tells whether what other processes publish from now on arrives.
func (s *served) ready() error {
	switch {
	case s.bridge == nil:
		return nil
	case s.bridge.Err() != nil:
		return s.bridge.Err()
	case !s.joined.Load():
		return errors.New("there is no connection to Redis yet")
	}
	return nil
}

// awaitBridge takes note when the bridge has reached Redis.
func (s *served) awaitBridge(ctx context.Context) {
	if s.bridge != nil && s.bridge.Ready(ctx) == nil {
		s.joined.Store(true)
		s.app.log.Info("joined the bus in Redis", "namespace", s.options.redis.namespace)
	}
}

// A listener is an address with what is served at it.
type listener struct {
	net.Listener
	server *http.Server
}

func (s *served) open() (all []listener, err error) {
	var config *tls.Config
	if s.options.tlsCert != "" || s.options.tlsKey != "" {
		certificate, err := stream.LoadCertificate(s.options.tlsCert, s.options.tlsKey, s.app.log)
		if err != nil {
			return nil, err
		}
		config = certificate.TLS()
	}
	handler := http.Handler(s.stream)
	if s.tokens != nil {
		handler = s.tokens.Handler(handler)
	}
	main, err := net.Listen("tcp", s.options.listen)
	if err != nil {
		return nil, err
	}
	address := main.Addr().String()
	if config != nil {
		main = tls.NewListener(main, config)
	}
	s.app.log.Info("listening", "address", address, "tls", config != nil)
	s.warnOfDescriptors()
	all = append(all, listener{main, s.stream.HTTPServer(handler)})
	if s.options.adminListen == "" {
		return all, nil
	}
	if err := stream.CheckListen(s.options.adminListen, false, s.options.insecure); err != nil {
		_ = main.Close()
		return nil, fmt.Errorf("%w (--admin-listen)", err)
	}
	admin, err := net.Listen("tcp", s.options.adminListen)
	if err != nil {
		_ = main.Close()
		return nil, err
	}
	s.app.log.Info("listening for administrators", "address", admin.Addr().String())
	return append(all, listener{admin, s.stream.AdminServer()}), nil
}

// run serves until ctx ends, a listener fails or the bridge ends.
func (s *served) run(ctx context.Context, listeners []listener) error {
	if err := s.bus.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if s.bridge != nil {
		joined, stop := s.options.redis.whileIn(ctx, s.bridge)
		defer stop()
		ctx = joined
	}
	var servers []*http.Server
	for _, l := range listeners {
		servers = append(servers, l.server)
		go func() {
			if err := l.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		}()
	}
	var work sync.WaitGroup
	work.Go(func() { s.awaitBridge(ctx) })
	work.Go(func() { s.simulate(ctx) })
	<-ctx.Done()
	work.Wait()
	if s.bridge != nil && s.bridge.Err() != nil {
		s.app.log.Error("the bridge to Redis has ended", "error", s.bridge.Err())
	}
	return errors.Join(s.drain(servers), failure(ctx))
}

// failure returns why ctx ended, if not by a signal.
func failure(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, errInterrupted) {
		return cause
	}
	return nil
}

// simulate publishes the simulated chain, if there is one.
func (s *served) simulate(ctx context.Context) {
	if s.chain == nil {
		return
	}
	pace := sim.NewPace(s.options.simulate)
	for pace.Wait(ctx) == nil {
		for _, p := range s.chain.Next() {
			if s.bus.PublishWithEvents(context.WithoutCancel(ctx), p.Data, p.Events) != nil {
				return
			}
		}
	}
}

// flushTime is what is kept of the drain for Redis to take what clients have
// published.
func (s *served) flushTime() time.Duration {
	return max(1, min(redisbridge.DefaultCloseTimeout, s.options.drain/2))
}

// drain lets clients take what is left, and ends everything.
func (s *served) drain(servers []*http.Server) error {
	s.app.log.Info("draining; a second signal ends at once", "timeout", s.options.drain)
	forClients := s.options.drain
	if s.bridge != nil {
		forClients -= s.flushTime()
	}
	ctx, cancel := context.WithTimeout(context.Background(), forClients)
	defer cancel()
	if err := s.stream.Shutdown(ctx); err != nil {
		s.app.log.Info("clients were cut", "error", err)
	}
	for _, server := range servers {
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	}
	var left error
	if s.bridge != nil {
		left = s.bridge.Close()
	}
	return errors.Join(left, s.bus.Stop())
}
