package remote

import (
	"errors"

	"github.com/gomodule/redigo/redis"
)

// Redigo is PUBLISH by redigo, 64 to a pipeline, received in a loop.
var Redigo = Kind{Name: "redigo PUBLISH", Open: openRedigo}

type redigo struct {
	sender  redis.Conn
	sub     redis.PubSubConn
	payload []byte
	ended   chan struct{}
}

func openRedigo(addr string, got func()) (Way, error) {
	sender, err := redis.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	receiver, err := redis.Dial("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, sender.Close())
	}
	r := &redigo{sender: sender, sub: redis.PubSubConn{Conn: receiver}, payload: payload(), ended: make(chan struct{})}
	if err := r.sub.Subscribe("redigo"); err != nil {
		return nil, err
	}
	if err, failed := r.sub.Receive().(error); failed { // the confirmation
		return nil, err
	}
	go func() {
		defer close(r.ended)
		for {
			switch r.sub.Receive().(type) {
			case redis.Message:
				got()
			case error:
				return
			}
		}
	}()
	return r, nil
}

func (r *redigo) Publish(n int) error {
	return batches(n, func(n int) error {
		for range n {
			if err := r.sender.Send("PUBLISH", "redigo", r.payload); err != nil {
				return err
			}
		}
		_, err := r.sender.Do("")
		return err
	})
}

func (r *redigo) Close() error {
	err := errors.Join(r.sender.Close(), r.sub.Conn.Close())
	<-r.ended
	return err
}
