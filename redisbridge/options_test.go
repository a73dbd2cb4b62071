package redisbridge

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/internal/redistest"
)

const forever = time.Duration(math.MaxInt64)

// What is more than a bridge can keep to is refused, by name.
func TestOptionsHaveBounds(t *testing.T) {
	for _, c := range []struct {
		field string
		set   func(o *Options)
	}{
		{"MaxFrame", func(o *Options) { o.MaxFrame = math.MaxInt }},
		{"MaxFrame", func(o *Options) { o.MaxFrame = math.MaxInt - macSize }},
		{"MaxFrame", func(o *Options) { o.MaxFrame = largestMaxFrame + 1 }},
		{"Lease", func(o *Options) { o.Lease = largestLease + 1 }},
		{"Lease", func(o *Options) { o.Lease = (1 << 32) * time.Millisecond }},
		{"Retention", func(o *Options) { o.Retention = largestRetention + 1 }},
		{"Retention", func(o *Options) { o.Retention = forever }},
		{"Timeout", func(o *Options) { o.Timeout = forever }},
		{"Timeout", func(o *Options) { o.KeepAlive = forever }},
		{"Namespace", func(o *Options) { o.Namespace = "\xff\xfe" }},
		{"Namespace", func(o *Options) { o.Namespace = "a\u00a0b" }},
		{"Namespace", func(o *Options) { o.Namespace = "a\u2028b" }},
		{"Namespace", func(o *Options) { o.Namespace = "a\u202eb" }},
		{"Namespace", func(o *Options) { o.Namespace = "a b" }},
		{"Name", func(o *Options) { o.Name = "a\u0085b" }},
		{"Name", func(o *Options) { o.Name = "a\xffb" }},
		{"Name", func(o *Options) { o.Name = strings.Repeat("x", maxName+1) }},
	} {
		o := Options{Redis: optionOf("127.0.0.1:1")}
		c.set(&o)
		_, err := o.withDefaults()
		require.ErrorContains(t, err, "Options."+c.field+" ")
		require.Less(t, len(err.Error()), 1000)
	}
	o := Options{Redis: optionOf("127.0.0.1:1"), Namespace: "Bücher-ß", Name: "東京-1"}
	_, err := o.withDefaults()
	require.NoError(t, err)
}

// Whatever a host is called, its name is one that can be used.
func TestHostNameBecomesAName(t *testing.T) {
	for host, want := range map[string]string{
		"web-1.example":          "web-1.example",
		"a b*c":                  "a-b-c",
		"x\u2028y":               "x-y",
		strings.Repeat("ü", 100): strings.Repeat("ü", (maxName-12)/2),
		"":                       "",
	} {
		o := Options{Redis: optionOf("127.0.0.1:1"), Name: nameOf(host)}
		require.Equal(t, fmt.Sprintf("%s-%d", want, os.Getpid()), o.Name)
		_, err := o.withDefaults()
		require.NoError(t, err)
	}
}

// At their bounds all options together do what they say.
func TestLargestOptionsWork(t *testing.T) {
	for _, mode := range []Mode{Live, Durable} {
		t.Run(mode.String(), func(t *testing.T) {
			redis := redistest.Start(t)
			errs := &reported{}
			o := Options{
				Namespace: "largest", Mode: mode, MaxFrame: largestMaxFrame, Lease: largestLease, Retention: largestRetention,
				Timeout: largestTimeout, KeepAlive: largestTimeout, RetainFrames: math.MaxInt64, OnError: errs.add,
			}
			a, _, got := joinTwo(t, redis, o)
			a.number(t, 1)
			got.await(t, has(1))
			require.False(t, errs.has(""), "nothing fails")
			if mode == Live {
				return
			}
			require.Greater(t, must(redis.Do(t, "PTTL", a.placeOf(0)).AsInt64()), largestRetention.Milliseconds())
			require.NoError(t, keepScript.run(background(), redis.Client(t), []string{a.placeOf(0)}, millis(10*largestRetention), millis(a.opt.keyLife())).Error())
			require.EqualValues(t, 1, must(redis.Do(t, "XLEN", a.placeOf(0)).AsInt64()))
		})
	}
}

// However keys and options get into a log, no secret does; but for %p, which go
// vet refuses and fmt asks nobody about.
func TestSecretsAreNotPrinted(t *testing.T) {
	key := Key{ID: 7, Secret: []byte("sixteen bytes and more")}
	o := Options{Redis: optionOf("127.0.0.1:1"), Keys: []Key{key}}
	o.Redis.Password, o.Redis.Username = "open sesame", "ali"
	prepared := prepare(o.Keys)
	var printed strings.Builder
	text, asJSON := slog.New(slog.NewTextHandler(&printed, nil)), slog.New(slog.NewJSONHandler(&printed, nil))
	for _, v := range []any{key, &key, []Key{key}, o, &o, prepared, map[string]any{"k": key}, struct{ O Options }{o}} {
		for _, verb := range "vTtbcdoOqxXUeEfFgGs" {
			fmt.Fprintf(&printed, "%"+string(verb)+" %+"+string(verb)+" %#"+string(verb)+"\n", v, v, v)
		}
		if b, err := json.Marshal(v); err == nil {
			printed.Write(b)
		}
		text.Info("it", "v", v)
		asJSON.Info("it", "v", v)
	}
	for _, secret := range []string{string(key.Secret), "open sesame"} {
		for _, form := range []string{
			secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("%d", []byte(secret[:8]))[1:20],
			base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%#v", []byte(secret[:6]))[7:30],
		} {
			require.NotContains(t, printed.String(), form)
		}
	}
	require.Contains(t, printed.String(), "key 7")
}

// An origin is called what a stranger likes; a gap is one line of a log.
func TestGapIsOneLine(t *testing.T) {
	g := Gap{Reason: Lost, Origin: pubsub.Origin{Name: "a\n2026 all is well\x1b[2J\u2028", Epoch: 1}, Count: 1, From: 2, To: 2}
	require.Equal(t, `gap in partition 0: lost, 1 publications of "a\n2026 all is well\x1b[2J\u2028"/0000000000000001 (2 to 2)`, g.String())
	require.Equal(t, "gap in partition 1: rewound, an unknown number of publications", Gap{Partition: 1, Reason: Rewound, Count: Unknown}.String())
	g = Gap{Reason: Forgotten, Origin: pubsub.Origin{Name: "a", Epoch: 1}, Count: Unknown}
	require.Equal(t, `gap in partition 0: forgotten, an unknown number of publications of "a"/0000000000000001`, g.String())
}

// An inbox that holds one frame drops the others of a burst, and says so; it does
// not lose its connection over them.
func TestSmallestInboxKeepsItsConnection(t *testing.T) {
	redis := redistest.Start(t)
	a := join(t, redis, live("tiny")).awaitReady(t)
	o := live("tiny")
	o.InboxBytes = 1
	b := join(t, redis, o).awaitReady(t)
	got := b.collect()
	const n = 200
	a.number(t, 0)
	got.await(t, has(0)) // from the first on, every loss is counted
	for i := 1; i <= n; i++ {
		a.number(t, i)
		require.NoError(t, a.Flush(within(t, patience)))
	}
	eventually(t, "everything is accounted for", func() bool { return len(got.all())+b.gaps.lost() == n+1 })
	require.Zero(t, b.Stats().Reconnects)
}
