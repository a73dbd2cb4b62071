package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// A server reads a WebSocket in order, and answers a ping, or a close frame, when
// it has dealt with all messages before it. So the answer confirms them:
//
//	messages ──▶ ping "3 262144" ──▶ messages ──▶ close
//	              ◀── pong "3 262144": three     ◀── close: all
//
// Pings go out now and then while much is written; in the end they also show
// that a server which is slow takes something.

// A delivery is what the server has confirmed of what was written to one
// WebSocket. It is guarded by the mu of the connection.
type delivery struct {
	written   int    // messages
	confirmed int    // of these
	last      string // payload of the latest pong

	bytes, pinged int64 // written; of these before the last ping

	giveUp *time.Timer // goodbye has been said: cuts a server that takes nothing
}

// pingStep is how many bytes are written between two pings.
const pingStep = 256 << 10

// writePart is how much of a message is written before a ping may come.
const writePart = 64 << 10

// An UnconfirmedError says that a connection ended before the server confirmed
// what was written: these messages may be lost.
type UnconfirmedError struct{ Messages int }

// Error says how many messages.
func (e *UnconfirmedError) Error() string {
	return fmt.Sprintf("client: the server has not confirmed the last %d messages: they may be lost", e.Messages)
}

// writeMessage writes a message, and pings in between.
func (c *Conn) writeMessage(ws *websocket.Conn, d *delivery, kind int, message []byte) error {
	w, err := ws.NextWriter(kind)
	if err != nil {
		return err
	}
	for len(message) > 0 {
		part := message[:min(len(message), writePart)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		message = message[len(part):]
		if payload := c.wrote(d, len(part)); payload != nil {
			if err := ws.WriteControl(websocket.PingMessage, payload, time.Time{}); err != nil {
				return err
			}
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d.written++
	c.unconfirmed++
	return nil
}

// wrote takes note of bytes and returns the payload of a ping that is due, or
// nil.
func (c *Conn) wrote(d *delivery, n int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.bytes += int64(n); d.bytes-d.pinged < pingStep {
		return nil
	}
	return d.ping()
}

// ping returns the payload of a ping. The caller holds c.mu.
func (d *delivery) ping() []byte {
	d.pinged = d.bytes
	return fmt.Appendf(nil, "%d %d", d.written, d.bytes)
}

// keepUp pings.
func (c *Conn) keepUp(ws *websocket.Conn, d *delivery) {
	c.mu.Lock()
	payload := d.ping()
	c.mu.Unlock()
	_ = ws.WriteControl(websocket.PingMessage, payload, time.Now().Add(c.options.ReadTimeout/2))
}

// ponged takes note of what a pong confirms. A server that has been told goodbye
// gets more time for it.
func (c *Conn) ponged(d *delivery, payload string) {
	messages, _, ours := strings.Cut(payload, " ")
	n, err := strconv.Atoi(messages)
	if !ours || err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if payload == d.last || n < d.confirmed || n > d.written {
		return
	}
	d.last = payload
	c.confirmLocked(d, n)
	if d.giveUp != nil && d.giveUp.Stop() {
		d.giveUp.Reset(c.options.CloseTimeout)
	}
}

// confirmLocked takes note that the server has dealt with the first n messages.
// The caller holds c.mu.
func (c *Conn) confirmLocked(d *delivery, n int) {
	c.unconfirmed -= n - d.confirmed
	d.confirmed = n
}

// ended takes note of why a WebSocket ended: an answer to our goodbye confirms
// all.
func (c *Conn) ended(d *delivery, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var closed *websocket.CloseError
	if d.giveUp != nil && errors.As(err, &closed) && closed.Code == websocket.CloseNormalClosure {
		c.confirmLocked(d, d.written)
	}
}

// sayGoodbye sends a close frame behind all that was written. A server that does
// not answer gets CloseTimeout, again and again as long as it takes something.
func (c *Conn) sayGoodbye(ws *websocket.Conn, d *delivery) {
	c.mu.Lock()
	d.giveUp = time.AfterFunc(c.options.CloseTimeout, func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Time{}) // and heard sets none
	c.mu.Unlock()
	err := ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Time{})
	if err != nil && !errors.Is(err, websocket.ErrCloseSent) {
		_ = ws.Close()
	}
}

// left returns an error if the server has not confirmed all that was written.
func (c *Conn) left() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unconfirmed > 0 {
		return &UnconfirmedError{c.unconfirmed}
	}
	return nil
}
