package redisbridge

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/codec"
	"github.com/harkbus/pubsub/internal/progress"
)

// A Mode says what a bridge promises; see the package comment.
type Mode uint8

// The modes.
const (
	Live    Mode = iota // Pub/Sub: at most once, losses are counted
	Durable             // Streams: once and in order, can resume
)

// String returns "live" or "durable".
func (m Mode) String() string {
	if m == Durable {
		return "durable"
	}
	return "live"
}

// Defaults of Options.
const (
	DefaultNamespace    = "hark"
	DefaultOutboxCount  = 65_536
	DefaultOutboxBytes  = 32 << 20
	DefaultInboxBytes   = 16 << 20
	DefaultMaxFrame     = 1 << 20
	DefaultRetention    = time.Hour
	DefaultRetainFrames = 1_000_000
	DefaultLease        = 15 * time.Second
	DefaultCloseTimeout = 5 * time.Second
	DefaultTimeout      = 900 * time.Millisecond
	DefaultKeepAlive    = 100 * time.Millisecond
)

const (
	maxPartitions    = 1 << 12
	maxName          = 128
	maxNamespace     = 128
	smallestMaxFrame = frameTarget
	largestMaxFrame  = 512<<20 - macSize // with its MAC: what Redis takes as one argument
	smallestLease    = 2 * time.Second
	largestLease     = time.Hour
	largestRetention = 10 * 365 * 24 * time.Hour
	largestTimeout   = time.Hour
	minBackoff       = 8 * time.Millisecond
	maxBackoff       = 512 * time.Millisecond
	goodbyeTimeout   = time.Second
	blockTime        = 500 * time.Millisecond
	checkEvery       = time.Second
	markAfter        = 500 * time.Millisecond
	originKeyLife    = 24 * time.Hour
	steadyAfter      = 100 * time.Millisecond // a connection that held so long may be dialed again at once
	refreshShards    = 2 * time.Second        // in a cluster: readers alone would not learn of new nodes
	dialTimeout      = time.Minute            // in all; the connection has a deadline on progress
	connBuffer       = 256 << 10              // each way; half of the client's own, which would be most of what a bridge holds
	transitBytes     = 1 << 20                // between a connection and the inboxes, which wait for nobody
)

// Options say how to attach a bridge. The zero value of a field is its
// default; Redis.InitAddress has none. Most programs need the first five fields;
// then come what travels, how the bus is spread, bounds, and times.
type Options struct {
	// Redis says where Redis is: one server, a cluster or sentinels, with TLS
	// and credentials. ParseURL makes it from a URL. The bridge sets
	// DisableCache, DisableRetry, ConnWriteTimeout and the Dialer's timeouts
	// itself.
	Redis rueidis.ClientOption

	// Namespace separates buses that share a Redis. All processes of a bus
	// give the same. At most 128 bytes of UTF-8, without braces, brackets, * ? # \,
	// blanks and what cannot be printed.
	Namespace string

	// Mode is Live, the default, or Durable.
	Mode Mode

	// OnGap is called for every loss, before what comes after it is published
	// here. It runs on the receiving path of its partition, at most once at a
	// time for each.
	OnGap func(Gap)

	// OnError is called when something fails that the bridge tries again, once
	// until it works again; with a *DropError when an outbox begins to drop;
	// and with what ended the bridge, but Close. The default drops them; Stats
	// has the last one. Like OnGap it may call any method of the bridge. While
	// it is busy up to 64 errors wait, and those beyond are one that counts them.
	OnError func(error)

	// Types says how Go types travel. Default: only what codec.NewRegistry knows.
	Types *codec.Registry

	// Codec encodes events; what arrives is decoded by whatever codec it names:
	// Hark's three and this one. Default Binary.
	Codec codec.Codec

	// Keys sign what is sent, with the first of them, and what arrives must be
	// signed with one of them. Without keys nothing is signed or checked.
	Keys []Key

	// From is where a Durable bridge begins to read; default Now.
	From Start

	// SendOnly makes a bridge that receives nothing, ReceiveOnly one that
	// sends nothing.
	SendOnly, ReceiveOnly bool

	// Name is how other processes see this one, in Origin.Name. At most 128
	// bytes. The default is host name and process id.
	Name string

	// Partitions spreads the bus over so many channels or streams, and in a
	// cluster over nodes. All processes of a namespace must give the same
	// number, which is kept in Redis. Default 1.
	Partitions int

	// Route returns the routing key of a publication: those of one key stay in
	// order. It must depend on data and events only and return soon: it is
	// called on the publisher's path. Needed with more than one partition.
	Route func(pubsub.Message) string

	// OutboxCount and OutboxBytes bound, per partition, what is accepted and
	// not acknowledged by Redis. Bytes are those of events, with 16 for each key
	// and value besides its text, and of data that is []byte,
	// string, json.RawMessage or has a method Size() int; anything else counts
	// as 256. The publisher does not wait until the events were
	// looked at: for that moment there may be half as many bytes more, or more
	// than that if publications grow suddenly, 1,024 of them at the most.
	OutboxCount int
	OutboxBytes int

	// InboxBytes bounds, per partition, what was received and not published
	// here yet. In Durable the bridge stops reading then, in Live it drops.
	InboxBytes int

	// MaxFrame is the largest frame sent or accepted, in bytes, without its MAC.
	// A publication that does not fit one is refused or dropped. 16 KiB to
	// 512 MiB less 16 bytes.
	MaxFrame int

	// Retention and RetainFrames are how long and how many frames a Durable
	// stream keeps, both approximately. Retention is 1 s to ten years.
	Retention    time.Duration
	RetainFrames int64

	// Lease is how long a process that is not heard of counts as alive, in
	// Live. 2 s to an hour.
	Lease time.Duration

	// Timeout is how long a connection may be silent when something is due,
	// before it counts as lost; on a slow link it grows by itself. KeepAlive is
	// how long it may be silent before it is asked for a sign of life. Defaults
	// 900 ms and 100 ms: a dead network is noticed within Timeout and twice
	// KeepAlive. Both are 10 ms to an hour.
	Timeout   time.Duration
	KeepAlive time.Duration

	// CloseTimeout bounds how long Close waits for the server and the outbox.
	CloseTimeout time.Duration

	// SendAll has no effect: every publication is sent, whether another process
	// has a subscription for it or not.
	//
	// Deprecated: leave it out. docs/scale.md says what sending everything costs.
	SendAll bool
}

// String names the namespace, the mode and where Redis is, without credentials.
func (o Options) String() string {
	return fmt.Sprintf("%v bridge of namespace %q at %v", o.Mode, o.Namespace, o.Redis.InitAddress)
}

// Format keeps the password of Redis and the secrets of Keys out of what fmt
// and log print.
func (o Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// MarshalText keeps them out of JSON and of structured logs.
func (o Options) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// ParseURL reads a Redis URL, in the forms of rueidis.ParseURL. Errors do not
// show the password.
func ParseURL(text string) (rueidis.ClientOption, error) {
	o, err := rueidis.ParseURL(text)
	if err != nil {
		if u, e := url.Parse(text); e == nil {
			return o, fmt.Errorf("redisbridge: Redis URL %s: %s", u.Redacted(), strings.ReplaceAll(err.Error(), text, u.Redacted()))
		}
		return o, errors.New("redisbridge: the Redis URL cannot be parsed: it is like redis://user:password@host:6379/0")
	}
	return o, nil
}

// withDefaults returns o with defaults in place, or an error that names the
// field that is wrong.
func (o Options) withDefaults() (Options, error) {
	setDefault(&o.Namespace, DefaultNamespace)
	if o.Name == "" {
		host, _ := os.Hostname()
		o.Name = nameOf(host)
	}
	setDefault(&o.Partitions, 1)
	setDefault(&o.OutboxCount, DefaultOutboxCount)
	setDefault(&o.OutboxBytes, DefaultOutboxBytes)
	setDefault(&o.InboxBytes, DefaultInboxBytes)
	setDefault(&o.MaxFrame, DefaultMaxFrame)
	setDefault(&o.Retention, DefaultRetention)
	setDefault(&o.RetainFrames, DefaultRetainFrames)
	setDefault(&o.Lease, DefaultLease)
	setDefault(&o.Timeout, DefaultTimeout)
	setDefault(&o.KeepAlive, DefaultKeepAlive)
	setDefault(&o.CloseTimeout, DefaultCloseTimeout)
	if o.Codec == nil {
		o.Codec = codec.Binary
	}
	if o.Types == nil {
		o.Types = codec.NewRegistry()
	}
	if o.OnGap == nil {
		o.OnGap = func(Gap) {}
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	return o, o.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func truncate(s string, n int) string { return s[:min(len(s), n)] }

// dialOptions makes a client whose connections have a deadline on progress and
// no other, keeps no cache, and leaves trying again to us: only the bridge knows
// what may be sent twice.
func (o *Options) dialOptions(line *progress.Line) rueidis.ClientOption {
	r := o.Redis
	r.DisableCache = true
	r.DisableRetry = true
	if r.ClientSetInfo == nil {
		r.ClientSetInfo = rueidis.DisableClientSetInfo // one command less in the ACL
	}
	r.DialCtxFn = line.Dial(r.DialCtxFn)
	r.Dialer.KeepAlive = o.KeepAlive // of rueidis: when it sends PING
	r.Dialer.Timeout = dialTimeout
	r.ConnWriteTimeout = dialTimeout
	setDefault(&r.ReadBufferEachConn, connBuffer)
	setDefault(&r.WriteBufferEachConn, connBuffer)
	if r.PipelineMultiplex == 0 {
		r.PipelineMultiplex = -1 // one connection for all that does not block
	}
	if r.ClusterOption.ShardsRefreshInterval == 0 {
		r.ClusterOption.ShardsRefreshInterval = refreshShards
	}
	return r
}

// keyLife is how long the keys of a partition are kept after they were used
// last.
func (o *Options) keyLife() time.Duration { return max(originKeyLife, 2*o.Retention) }

func (o *Options) validate() error {
	wrong := func(field, format string, args ...any) error {
		return fmt.Errorf("redisbridge: Options.%s "+format, append([]any{field}, args...)...)
	}
	switch {
	case len(o.Redis.InitAddress) == 0:
		return wrong("Redis", "has no InitAddress: make it with ParseURL")
	case len(o.Namespace) > maxNamespace || !isFitForKey(o.Namespace):
		return wrong("Namespace", "is %.160q: at most %d bytes of UTF-8, without braces, brackets, * ? # \\, blanks and what cannot be printed", o.Namespace, maxNamespace)
	case len(o.Name) > maxName || !isFitForKey(o.Name):
		return wrong("Name", "is %.160q: at most %d bytes of UTF-8, without braces, brackets, * ? # \\, blanks and what cannot be printed", o.Name, maxName)
	case o.Mode > Durable:
		return wrong("Mode", "is %d: use Live or Durable", o.Mode)
	case o.SendOnly && o.ReceiveOnly:
		return wrong("SendOnly", "and ReceiveOnly are both set")
	case o.Partitions < 1 || o.Partitions > maxPartitions:
		return wrong("Partitions", "is %d: it must be 1 to %d", o.Partitions, maxPartitions)
	case o.Partitions > 1 && o.Route == nil && !o.ReceiveOnly:
		return wrong("Route", "is nil: with %d partitions it says which publications keep their order", o.Partitions)
	case o.OutboxCount < 1:
		return wrong("OutboxCount", "is %d: it must be 1 or more", o.OutboxCount)
	case o.OutboxBytes < 1:
		return wrong("OutboxBytes", "is %d: it must be 1 or more", o.OutboxBytes)
	case o.InboxBytes < 1:
		return wrong("InboxBytes", "is %d: it must be 1 or more", o.InboxBytes)
	case o.MaxFrame < smallestMaxFrame || o.MaxFrame > largestMaxFrame:
		return wrong("MaxFrame", "is %d: it must be %d to %d", o.MaxFrame, smallestMaxFrame, largestMaxFrame)
	case o.Retention < time.Second || o.Retention > largestRetention:
		return wrong("Retention", "is %v: it must be 1 s to %v", o.Retention, largestRetention)
	case o.RetainFrames < 1:
		return wrong("RetainFrames", "is %d: it must be 1 or more", o.RetainFrames)
	case min(o.Timeout, o.KeepAlive) < 10*time.Millisecond || max(o.Timeout, o.KeepAlive) > largestTimeout:
		return wrong("Timeout", "and KeepAlive are %v and %v: they must be 10 ms to %v", o.Timeout, o.KeepAlive, largestTimeout)
	case o.Lease < smallestLease || o.Lease > largestLease:
		return wrong("Lease", "is %v: it must be %v to %v; less does not outlive a reconnection", o.Lease, smallestLease, largestLease)
	case o.Mode == Live && o.From.kind != startNow:
		return wrong("From", "is set: only Durable can resume")
	case len(o.From.cursor.positions) > 0 && len(o.From.cursor.positions) != o.Partitions:
		return wrong("From", "is a cursor of %d partitions, not %d", len(o.From.cursor.positions), o.Partitions)
	}
	if err := codec.Check(o.Codec); err != nil {
		return wrong("Codec", "%w", err)
	}
	return validateKeys(o.Keys)
}

// isFitForKey keeps names apart inside keys and ACL patterns, hash tags whole,
// and lines of a log in one.
func isFitForKey(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, isUnfitForKey)
}

func isUnfitForKey(r rune) bool {
	return r == ' ' || !unicode.IsPrint(r) || strings.ContainsRune("{}*?[]#\\", r)
}

// nameOf makes a name of that of a host.
func nameOf(host string) string {
	fit := strings.Map(func(r rune) rune {
		if isUnfitForKey(r) {
			return '-'
		}
		return r
	}, host)
	return strings.ToValidUTF8(truncate(fit, maxName-12), "") + fmt.Sprintf("-%d", os.Getpid())
}

// newEpoch draws what tells one start of a process from the next.
func newEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
