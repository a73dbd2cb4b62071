package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/harkbus/pubsub/history"
)

// A Publication is what a client publishes.
type Publication struct {
	Topic  string              `json:"topic,omitempty"` // a path; published as the events "topic" and "publisher"
	Data   json.RawMessage     `json:"data"`
	Events map[string][]string `json:"events"`
}

// A PublishError says that the server did not accept a publication.
type PublishError struct {
	Status int    // of HTTP
	Reason string // what the server said
}

// Error says what the server said.
func (e *PublishError) Error() string {
	return fmt.Sprintf("client: publish: the server answered %d: %s", e.Status, e.Reason)
}

// Publish publishes over POST /publish of the same server and returns the
// cursor. A request ends with the client.
func (c *Client) Publish(ctx context.Context, p Publication) (history.Cursor, error) {
	_, cursor, err := c.PublishAll(ctx, []Publication{p})
	return cursor, err
}

// PublishAll publishes several, in order, and returns how many were accepted,
// also if there is an error: the server did not take the one after them.
func (c *Client) PublishAll(ctx context.Context, list []Publication) (n int, last history.Cursor, err error) {
	body, err := json.Marshal(list)
	if err != nil {
		return 0, history.Cursor{}, fmt.Errorf("client: publish: %w", err)
	}
	if c.conn.ctx.Err() != nil {
		return 0, history.Cursor{}, fmt.Errorf("client: publish: %w", context.Cause(c.conn.ctx))
	}
	ctx, stop := either(ctx, c.conn.ctx)
	defer stop()
	response, err := c.post(ctx, body)
	if err != nil {
		return 0, history.Cursor{}, fmt.Errorf("client: publish: %w", err)
	}
	defer response.Body.Close()
	return readPublished(response)
}

func (c *Client) post(ctx context.Context, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, publishURL(c.conn.url), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header := c.conn.options.Header.Clone(); header != nil {
		request.Header = header
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return response, err
}

// publishURL returns where to publish on the server of a WebSocket's URL.
func publishURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // newConn has parsed it
	}
	u.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/websocket"), "/v1") + "/publish"
	u.RawQuery = ""
	return u.String()
}

// published is the answer of the server.
type published struct {
	Published int    `json:"published"`
	Cursor    string `json:"cursor"` // of the last one
	Error     string `json:"error"`
}

func readPublished(response *http.Response) (n int, last history.Cursor, err error) {
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, history.Cursor{}, fmt.Errorf("client: publish: %w", err)
	}
	var answer published
	if json.Unmarshal(text, &answer) != nil {
		return 0, history.Cursor{}, &PublishError{response.StatusCode, string(bytes.TrimSpace(text))}
	}
	if answer.Cursor != "" {
		if last, err = history.ParseCursor(answer.Cursor); err != nil {
			return answer.Published, last, err
		}
	}
	if response.StatusCode != http.StatusOK {
		err = &PublishError{response.StatusCode, answer.Error}
	}
	return answer.Published, last, err
}
