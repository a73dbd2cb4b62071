package stream

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harkbus/pubsub/internal/backoff"
	"github.com/harkbus/pubsub/service"
)

// A Webhook is where notices of refused and of slow clients are posted:
//
//	POST URL
//	Content-Type: application/json
//	Hark-Signature: t=1767225600,v1=5257a8…
//
//	{"notices":[{"time":"…","kind":"slow","reason":"stalled","remote":"192.0.2.1","identity":"alice","count":3}, …]}
//
// The signature is there if there is a Key: HMAC-SHA256, in hexadecimal, of the
// time, a dot and the body. What happens within a second is one request, and
// notices that differ only in time are one with a count, so that a flood of
// clients is no flood of requests. Nobody waits for the receiver: up to 256
// notices wait for it, each request has Timeout, and three attempts at most.
// What is lost is counted in Stats. Redirections are not followed.
type Webhook struct {
	URL     string        // http or https, without a user
	Key     []byte        // signs; at least 32 bytes, or empty: nothing is signed
	Timeout time.Duration // of one request; default 5 s

	transport http.RoundTripper // of tests; nil: http.DefaultTransport
}

// SignatureHeader is the header of a webhook's request that has its signature.
const SignatureHeader = "Hark-Signature"

const (
	webhookGather   = time.Second // notices are gathered for so long
	webhookQueue    = 256         // notices that wait
	webhookAttempts = 3
	minWebhookKey   = 32
)

func (c *Webhook) validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return errors.New("stream: Config.Webhook.URL must be an http:// or https:// URL without a user")
	case len(c.Key) > 0 && len(c.Key) < minWebhookKey:
		return fmt.Errorf("stream: Config.Webhook.Key has %d bytes; it needs %d", len(c.Key), minWebhookKey)
	case c.Timeout < 0:
		return errors.New("stream: Config.Webhook.Timeout is negative")
	}
	return nil
}

// A notice says what happened to a client, and how often.
type notice struct {
	Time     time.Time `json:"time"` // of the first
	Kind     string    `json:"kind"` // "refused" or "slow"
	Reason   string    `json:"reason"`
	Remote   string    `json:"remote,omitempty"` // address
	Identity string    `json:"identity,omitempty"`
	Count    uint64    `json:"count"`
}

// A noticeKey is what notices have in common that become one.
type noticeKey struct{ kind, reason, remote, identity string }

// A webhook gathers notices and posts them. It has a goroutine while there are
// any.
type webhook struct {
	config *Webhook // nil: nobody wants notices
	client http.Client
	log    service.Logger

	sent, lost atomic.Uint64 // notices

	mu      sync.Mutex
	waiting map[noticeKey]*notice
	order   []*notice
	running bool // a goroutine is in run

	closing chan struct{} // closed by close
	closed  bool          // guarded by mu
	ctx     context.Context
	cancel  context.CancelFunc
	task    sync.WaitGroup
}

func (h *webhook) init(c *Webhook, log service.Logger) {
	if c == nil {
		return
	}
	config := *c
	if config.Timeout == 0 {
		config.Timeout = 5 * time.Second
	}
	h.config, h.log = &config, log
	h.client = http.Client{
		Transport:     config.transport,
		Timeout:       config.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	h.closing = make(chan struct{})
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.waiting = make(map[noticeKey]*notice)
}

// add notes that something happened n times. It never waits for the receiver.
func (h *webhook) add(key noticeKey, n uint64) {
	if h.config == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if same := h.waiting[key]; same != nil {
		same.Count += n
		return
	}
	if h.closed || len(h.order) == webhookQueue {
		h.lost.Add(1)
		return
	}
	fresh := &notice{time.Now().UTC(), key.kind, key.reason, key.remote, key.identity, n}
	h.waiting[key] = fresh
	h.order = append(h.order, fresh)
	if !h.running {
		h.running = true
		h.task.Go(h.run)
	}
}

// run posts until nothing waits.
func (h *webhook) run() {
	for {
		select {
		case <-time.After(webhookGather):
		case <-h.closing:
		}
		batch := h.take()
		if batch == nil {
			return
		}
		err := h.deliver(batch)
		if err == nil {
			h.sent.Add(uint64(len(batch)))
			continue
		}
		h.lost.Add(uint64(len(batch)))
		if h.log != nil {
			h.log.Error("stream: the webhook does not take notices", "lost", len(batch), "error", err)
		}
	}
}

// take returns what waits; nil if nothing does, and then run is over.
func (h *webhook) take() []*notice {
	h.mu.Lock()
	defer h.mu.Unlock()
	batch := h.order
	h.order = nil
	clear(h.waiting)
	h.running = len(batch) > 0
	return batch
}

// deliver posts a batch, again if that may help.
func (h *webhook) deliver(batch []*notice) error {
	body, err := json.Marshal(map[string]any{"notices": batch})
	if err != nil {
		return err
	}
	retry := backoff.New(time.Second, 8*time.Second)
	for attempt := 1; ; attempt++ {
		again, err := h.post(body)
		if err == nil || !again || attempt == webhookAttempts {
			return err
		}
		if retry.Wait(h.ctx) != nil {
			return err
		}
	}
}

// post sends a body once, and tells whether another attempt may help. The error
// has neither the path nor the query of the URL, which may be secret.
func (h *webhook) post(body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(h.ctx, http.MethodPost, h.config.URL, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/json")
	if len(h.config.Key) > 0 {
		r.Header.Set(SignatureHeader, sign(h.config.Key, time.Now(), body))
	}
	response, err := h.client.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return true, err
	}
	_ = response.Body.Close()
	if response.StatusCode/100 == 2 {
		return false, nil
	}
	again = response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusRequestTimeout
	return again, fmt.Errorf("%s answered %s", r.URL.Host, response.Status)
}

func sign(key []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s", t, body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// lastNotices is how long the end of a server waits for the receiver.
const lastNotices = time.Second

// close posts what waits, until ctx is done or for lastNotices, and takes no
// more.
func (h *webhook) close(ctx context.Context) {
	if h.config == nil {
		return
	}
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.closing)
	}
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lastNotices)
	defer cancel()
	defer context.AfterFunc(ctx, h.cancel)()
	h.task.Wait()
	h.cancel()
	h.client.CloseIdleConnections()
}
