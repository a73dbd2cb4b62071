package stream

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// openConns are the network connections of an http.Server that no WebSocket has
// taken over. Beyond the limit the one that has been idle for longest makes
// room; if none is, the new one is closed.
type openConns struct {
	quota *quota
	log   func(msg string, keyvals ...any)

	mu    sync.Mutex
	conns map[net.Conn]*openConn
	said  time.Time // when a refusal was logged last
}

type openConn struct {
	hold  *hold
	idle  bool      // nothing has been asked
	since time.Time // in this state
}

// newcomer is how long a connection may say nothing before it may have to make
// room.
const newcomer = time.Second

// changed is for http.Server.ConnState. A new connection is seen before it is
// read from.
func (o *openConns) changed(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.open(conn)
	case http.StateIdle, http.StateActive:
		o.mu.Lock()
		defer o.mu.Unlock()
		if c := o.conns[conn]; c != nil {
			c.idle, c.since = state == http.StateIdle, time.Now()
		}
	default:
		o.mu.Lock()
		defer o.mu.Unlock()
		if c := o.conns[conn]; c != nil {
			c.hold.release()
			delete(o.conns, conn)
		}
	}
}

func (o *openConns) open(conn net.Conn) {
	ip := hostOf(conn.RemoteAddr().String())
	o.mu.Lock()
	defer o.mu.Unlock()
	h, refused := o.quota.hold(ip, "", 1)
	if refused != nil && o.makeRoomLocked(networkOf(ip), refused.status == http.StatusTooManyRequests) {
		h, refused = o.quota.hold(ip, "", 1)
	}
	if refused != nil {
		_ = conn.Close()
		if now := time.Now(); now.Sub(o.said) >= time.Second {
			o.said = now
			o.log("stream: connections are refused", "remote", ip, "reason", refused.text)
		}
		return
	}
	o.conns[conn] = &openConn{hold: h, idle: true, since: time.Now()}
}

// makeRoomLocked closes the connection that has been idle for longest, of one
// address or of all, and tells whether there was one. The caller holds o.mu.
func (o *openConns) makeRoomLocked(ip string, own bool) bool {
	var oldest net.Conn
	for conn, c := range o.conns {
		switch {
		case !c.idle, time.Since(c.since) < newcomer, own && c.hold.ip != ip:
		case oldest == nil || c.since.Before(o.conns[oldest].since):
			oldest = conn
		}
	}
	if oldest == nil {
		return false
	}
	o.conns[oldest].hold.release()
	delete(o.conns, oldest)
	_ = oldest.Close()
	return true
}
