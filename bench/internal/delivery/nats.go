package delivery

import (
	"encoding/binary"
	"errors"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATS is a NATS server in this process, with one connection to publish and
// one for all subscribers, both without a socket. It carries eight bytes.
var NATS = Kind{Name: "NATS", Open: openNATS}

type natsBus struct {
	server  *server.Server
	out, in *nats.Conn
}

func openNATS(readers []*Reader, _ int) (Bus, error) {
	s, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	bus := &natsBus{server: s}
	if err := bus.connect(readers); err != nil {
		return nil, errors.Join(err, bus.Close())
	}
	return bus, nil
}

func (b *natsBus) connect(readers []*Reader) (err error) {
	if b.out, err = nats.Connect("", nats.InProcessServer(b.server)); err != nil {
		return err
	}
	if b.in, err = nats.Connect("", nats.InProcessServer(b.server)); err != nil {
		return err
	}
	for _, r := range readers {
		_, err := b.in.Subscribe(topic, func(m *nats.Msg) { r.Got(binary.LittleEndian.Uint64(m.Data)) })
		if err != nil {
			return err
		}
	}
	return b.in.Flush()
}

func (b *natsBus) Publish(item *Item) error { return b.out.Publish(topic, item.Payload) }

func (b *natsBus) Close() error {
	for _, c := range []*nats.Conn{b.out, b.in} {
		if c != nil {
			c.Close()
		}
	}
	b.server.Shutdown()
	b.server.WaitForShutdown()
	return nil
}
