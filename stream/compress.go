package stream

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Compression keeps nothing for a connection: no context is taken from one
// message to the next (RFC 7692), so that what many subscribers get is
// compressed once for all of them, and the few compressors that there are work
// for everybody. Nobody waits for one: if all are busy, a message goes out as it
// is, which both permessage-deflate and gzip allow.
//
//	frame of a subscriber = its own prefix, stored │ the publication, compressed once

// compressors are those that there may be at once.
type compressors struct {
	free chan *compressor // nil stands for one that has not been needed yet
	busy atomic.Uint64    // how often all were busy
}

type compressor struct {
	w   *flate.Writer
	out bytes.Buffer
}

const (
	minCompressed  = 256       // bytes; shorter ones gain nothing
	maxCompressed  = 1 << 20   // bytes; a compressor is busy with them for some milliseconds
	keptCompressed = 256 << 10 // bytes of the buffer that a compressor keeps

	inflaterBytes = 44 << 10 // what decompressing a message holds until it is read
)

func (c *compressors) init(n int) {
	c.free = make(chan *compressor, n)
	for range n {
		c.free <- nil
	}
}

// deflate returns b as blocks of DEFLATE that end at a byte, after the marker of
// a flush; nil if that is not worth while, or all compressors are busy.
func (c *compressors) deflate(b []byte) []byte {
	if len(b) < minCompressed || len(b) > maxCompressed {
		return nil
	}
	var one *compressor
	select {
	case one = <-c.free:
	default:
		c.busy.Add(1)
		return nil
	}
	if one == nil {
		one = new(compressor)
		one.w, _ = flate.NewWriter(&one.out, flate.BestSpeed) // the level is one
	}
	defer func() {
		if one.out.Cap() > keptCompressed {
			one.out = bytes.Buffer{}
		}
		c.free <- one
	}()
	one.out.Reset()
	one.w.Reset(&one.out)
	_, _ = one.w.Write(b) // a Buffer takes everything
	_ = one.w.Flush()
	if one.out.Len() >= len(b) {
		return nil
	}
	return bytes.Clone(one.out.Bytes())
}

// flushMarker ends what deflate returns; in a WebSocket message it is left out.
const flushMarker = "\x00\x00\xff\xff"

// pack returns b as the end of a message with permessage-deflate, or nil.
func (c *compressors) pack(b []byte) []byte {
	return bytes.TrimSuffix(c.deflate(b), []byte(flushMarker))
}

// appendStored appends b in blocks that are not compressed, after whole bytes.
func appendStored(dst, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), 0xffff)
		dst = binary.LittleEndian.AppendUint16(append(dst, 0), uint16(n))
		dst = binary.LittleEndian.AppendUint16(dst, ^uint16(n))
		dst, b = append(dst, b[:n]...), b[n:]
	}
	return dst
}

// compressedBit is RSV1 of a frame's header: its message is compressed.
const compressedBit = 0x40

// packed is a compressed frame of text that nobody else gets; f itself if that
// gains nothing.
func (c *compressors) packed(f frame) frame {
	if tail := c.pack(f.tail); tail != nil && f.head == nil {
		return frame{opcode: f.opcode | compressedBit, tail: tail}
	}
	return f
}

// offersDeflate tells whether a client can be sent permessage-deflate without
// context, in windows of full size, which is all that is spoken here.
func offersDeflate(header http.Header) bool {
	return slices.ContainsFunc(elements(header, "Sec-WebSocket-Extensions"), func(offer string) bool {
		params := strings.Split(offer, ";")
		if strings.TrimSpace(params[0]) != "permessage-deflate" {
			return false
		}
		return !slices.ContainsFunc(params[1:], func(param string) bool {
			name, _, _ := strings.Cut(strings.TrimSpace(param), "=")
			return !slices.Contains([]string{"client_max_window_bits", "client_no_context_takeover", "server_no_context_takeover"}, strings.TrimSpace(name))
		})
	})
}

// acceptsGzip tells whether a client asks for gzip.
func acceptsGzip(header http.Header) bool {
	return slices.ContainsFunc(elements(header, "Accept-Encoding"), func(element string) bool {
		coding, params, _ := strings.Cut(element, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return false
		}
		weight, given := strings.CutPrefix(strings.TrimSpace(params), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !given || err == nil && q > 0
	})
}

// A gzipper makes one gzip stream (RFC 1952) of what it is given piece by piece.
type gzipper struct {
	compressors *compressors
	begun       bool
	sum         uint32
	size        uint32
}

// gzipHeader is that of a stream without name and time.
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"

// next returns what is sent for b. A reader gets all of it at once.
func (g *gzipper) next(b []byte) (out []byte) {
	if !g.begun {
		g.begun = true
		out = append(out, gzipHeader...)
	}
	g.sum = crc32.Update(g.sum, crc32.IEEETable, b)
	g.size += uint32(len(b))
	if blocks := g.compressors.deflate(b); blocks != nil {
		return append(out, blocks...)
	}
	return append(appendStored(out, b), "\x00"+flushMarker...)
}

// end returns what ends the stream.
func (g *gzipper) end() []byte {
	out := append(g.next(nil), 1, 0, 0, 0xff, 0xff) // the last block, which is empty
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, g.sum), g.size)
}
