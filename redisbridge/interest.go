package redisbridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

// An interest is what one process wants to be sent. As a frame its sequence is
// the version, and its payload
//
//	1        flags: 1 everything, 2 this process filters what it sends,
//	         4 an answer is wanted when this is seen
//	4        lease, ms, big-endian
//	uvarint  queries, then each: uvarint length, canonical text
type interest struct {
	origin     pubsub.Origin
	version    uint64
	closing    bool
	everything bool
	filters    bool
	answer     bool
	lease      time.Duration
	queries    []*query.Query
}

const (
	interestEverything = 1 << 0
	interestFilters    = 1 << 1
	interestAnswer     = 1 << 2
)

// frame encodes an interest of this process. If the queries do not fit, it is
// everything.
func (m *member) interestFrame(i *interest) string {
	frame := m.appendInterest(i)
	if len(frame) > m.opt.MaxFrame {
		i.everything, i.queries = true, nil
		frame = m.appendInterest(i)
	}
	return string(finish(frame, 0, m.sign))
}

func (m *member) appendInterest(i *interest) []byte {
	f := m.noteHeader(kindInterest, i.version, i.closing)
	var flags byte
	for bit, set := range map[byte]bool{interestEverything: i.everything, interestFilters: i.filters, interestAnswer: i.answer} {
		if set {
			flags |= bit
		}
	}
	f = append(f, flags)
	f = binary.BigEndian.AppendUint32(f, uint32(i.lease.Milliseconds()))
	f = binary.AppendUvarint(f, uint64(len(i.queries)))
	for _, q := range i.queries {
		text := q.String()
		f = append(binary.AppendUvarint(f, uint64(len(text))), text...)
	}
	return f
}

// noteHeader begins a frame that belongs to no partition.
func (m *member) noteHeader(k kind, number uint64, closing bool) []byte {
	return appendHeader(nil, &header{
		kind: k, partition: noPartition, closing: closing, first: number,
		epoch: m.origin.Epoch, name: m.origin.Name, namespace: m.opt.Namespace,
	})
}

// parseInterest reads an interest. A query that this version cannot read makes
// it everything: it fails open.
func parseInterest(h *header, payload []byte) (*interest, error) {
	if len(payload) < 5 {
		return nil, errMalformed
	}
	i := &interest{
		origin:     pubsub.Origin{Name: strings.Clone(h.name), Epoch: h.epoch},
		version:    h.first,
		closing:    h.closing,
		everything: payload[0]&interestEverything != 0,
		filters:    payload[0]&interestFilters != 0,
		answer:     payload[0]&interestAnswer != 0,
		lease:      time.Duration(binary.BigEndian.Uint32(payload[1:])) * time.Millisecond,
	}
	i.lease = min(max(i.lease, time.Second), time.Hour)
	n, rest, err := cutCount(string(payload[5:]))
	for ; n > 0 && err == nil; n-- {
		var text string
		if text, rest, err = cutString(rest); err != nil {
			break
		}
		q, unknown := parseQuery(text)
		if unknown != nil {
			i.everything = true
			continue
		}
		i.queries = append(i.queries, q)
	}
	if err != nil {
		return nil, errors.Join(errMalformed, err)
	}
	return i, nil
}

func parseQuery(text string) (*query.Query, error) {
	if text == query.All.String() {
		return query.All, nil
	}
	q, err := query.New(text)
	if err != nil {
		return nil, fmt.Errorf("redisbridge: announced query: %w", err)
	}
	return q, nil
}

// cutCount cuts the number of things off src that follow in it, each of at
// least one byte.
func cutCount(src string) (n int, rest string, err error) {
	v, size := binary.Uvarint([]byte(src[:min(len(src), binary.MaxVarintLen64)]))
	if size <= 0 || v > uint64(len(src)-size) {
		return 0, "", errMalformed
	}
	return int(v), src[size:], nil
}

func cutString(src string) (s, rest string, err error) {
	n, rest, err := cutCount(src)
	if err != nil {
		return "", "", err
	}
	return rest[:n], rest[n:], nil
}
