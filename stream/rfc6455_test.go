package stream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/harkbus/pubsub"
)

// A wireCase is what a client sends and what the server answers, by the section
// of RFC 6455 that asks for it.
type wireCase struct {
	name string
	sent []byte
	want []parsedFrame // of a close frame the code alone
}

func together(frames ...[]byte) (all []byte) {
	for _, f := range frames {
		all = append(all, f...)
	}
	return all
}

func closing(code int) parsedFrame { return parsedFrame{opClose, string(closePayload(code, ""))} }

func text(payload string) parsedFrame { return parsedFrame{opText, payload} }

// newEcho returns a rig whose server echoes messages, at any path.
func newEcho(t *testing.T) *rig {
	bus := pubsub.NewServer()
	server, err := New(bus, Config{MaxFrame: 1 << 20})
	require.NoError(t, err)
	r := &rig{t: t, bus: bus, server: server, http: httptest.NewServer(http.HandlerFunc(server.echo))}
	r.listenRaw()
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Shutdown(now)
		r.http.Close()
	})
	return r
}

// What RFC 6455 asks of a server. Each case is sent at once and, if it is short,
// by the byte.
func TestRFC6455(t *testing.T) {
	r := newEcho(t)
	cases := append(framingCases(), append(controlCases(), append(textCases(), closeCases()...)...)...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.hold(t, r, func(p *raw) { p.write(c.sent) })
			if len(c.sent) > 512 {
				return
			}
			c.hold(t, r, func(p *raw) {
				for i := range c.sent {
					p.write(c.sent[i : i+1])
				}
			})
		})
	}
}

// write writes what the server may not want to read any more.
func (r *raw) write(b []byte) { _, _ = r.conn.Write(b) }

func (c *wireCase) hold(t *testing.T, r *rig, send func(p *raw)) {
	p := r.raw("/")
	defer p.conn.Close()
	p.t = t
	send(p)
	for _, want := range c.want {
		got := p.next()
		if want.opcode == opClose && len(got.payload) > 2 {
			got.payload = got.payload[:2]
		}
		require.Equal(t, want, got)
	}
	if len(c.want) == 0 || c.want[len(c.want)-1].opcode == opClose {
		rest, _ := io.ReadAll(p.in)
		require.Empty(t, rest, "nothing comes after a close frame")
	}
}

func framingCases() (cases []wireCase) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537} {
		payload := strings.Repeat("*", n)
		cases = append(cases,
			wireCase{fmt.Sprintf("5.2 text of %d bytes", n), masked(0x81, []byte(payload)), []parsedFrame{text(payload)}},
			wireCase{fmt.Sprintf("5.2 binary of %d bytes", n), masked(0x82, []byte("\xff\xfe"+payload)), []parsedFrame{{opBinary, "\xff\xfe" + payload}}})
	}
	for bits := 1; bits < 8; bits++ {
		for _, opcode := range []byte{opText, opBinary, opClose, opPing, opPong} {
			bad := masked(finalBit|byte(bits)<<4|opcode, nil)
			cases = append(cases, wireCase{fmt.Sprintf("5.2 reserved bits %03b, opcode %d, after a message", bits, opcode),
				together(masked(0x81, []byte("a")), bad, masked(0x89, nil)), []parsedFrame{text("a"), closing(1002)}})
		}
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases = append(cases, wireCase{fmt.Sprintf("5.2 reserved opcode %d", opcode), masked(finalBit|opcode, []byte("x")), []parsedFrame{closing(1002)}})
	}
	many := masked(0x01, nil)
	for range 1000 {
		many = append(many, masked(0x00, []byte("ab"))...)
	}
	return append(cases, []wireCase{
		{"5.1 a frame that is not masked", []byte{0x81, 0}, []parsedFrame{closing(1002)}},
		{"5.4 fragments", together(masked(0x01, []byte("a")), masked(0x00, []byte("b")), masked(0x80, []byte("c"))), []parsedFrame{text("abc")}},
		{"5.4 binary fragments", together(masked(0x02, []byte("a")), masked(0x80, []byte{0xff})), []parsedFrame{{opBinary, "a\xff"}}},
		{"5.4 empty fragments", together(masked(0x01, nil), masked(0x00, nil), masked(0x80, nil)), []parsedFrame{text("")}},
		{"5.4 1,001 fragments", append(many, masked(0x80, []byte("."))...), []parsedFrame{text(strings.Repeat("ab", 1000) + ".")}},
		{"5.4 pings between fragments", together(masked(0x01, []byte("a")), masked(0x89, []byte("p")), masked(0x00, []byte("b")), masked(0x8a, nil), masked(0x80, []byte("c"))),
			[]parsedFrame{{opPong, "p"}, text("abc")}},
		{"5.4 a continuation of nothing", masked(0x80, nil), []parsedFrame{closing(1002)}},
		{"5.4 a continuation of nothing that goes on", together(masked(0x00, []byte("a")), masked(0x80, nil)), []parsedFrame{closing(1002)}},
		{"5.4 a continuation of what is complete", together(masked(0x81, []byte("a")), masked(0x80, []byte("b"))), []parsedFrame{text("a"), closing(1002)}},
		{"5.4 text between fragments", together(masked(0x01, nil), masked(0x81, nil)), []parsedFrame{closing(1002)}},
		{"5.4 binary between fragments", together(masked(0x01, nil), masked(0x00, nil), masked(0x02, nil)), []parsedFrame{closing(1002)}},
		{"10.4 a frame beyond the limit", []byte{0x81, 0xff, 0, 0, 0, 0, 0xff, 0, 0, 0, 1, 2, 3, 4}, []parsedFrame{closing(1009)}},
		{"10.4 a length with its first bit", []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, []parsedFrame{closing(1009)}},
		{"10.4 fragments beyond the limit", together(masked(0x01, make([]byte, 1<<20)), masked(0x80, []byte("x"))), []parsedFrame{closing(1009)}},
	}...)
}

func controlCases() []wireCase {
	long := strings.Repeat("p", 125)
	return []wireCase{
		{"5.5.2 a ping", masked(0x89, []byte("hello")), []parsedFrame{{opPong, "hello"}}},
		{"5.5.2 an empty ping", masked(0x89, nil), []parsedFrame{{opPong, ""}}},
		{"5.5.2 a ping that is no text", masked(0x89, []byte{0, 0xff, 0xfe}), []parsedFrame{{opPong, "\x00\xff\xfe"}}},
		{"5.5.2 a ping of 125 bytes", masked(0x89, []byte(long)), []parsedFrame{{opPong, long}}},
		{"5.5 a ping of 126 bytes", masked(0x89, []byte(long+"p")), []parsedFrame{closing(1002)}},
		{"5.5 a pong of 126 bytes", masked(0x8a, []byte(long+"p")), []parsedFrame{closing(1002)}},
		{"5.5 a close of 126 bytes", masked(0x88, append(closePayload(1000, ""), long[:124]...)), []parsedFrame{closing(1002)}},
		{"5.5 a fragmented ping", masked(0x09, nil), []parsedFrame{closing(1002)}},
		{"5.5 a fragmented pong", together(masked(0x0a, nil), masked(0x80, nil)), []parsedFrame{closing(1002)}},
		{"5.5 a fragmented close", masked(0x08, closePayload(1000, "")), []parsedFrame{closing(1002)}},
		{"5.5.3 a pong nobody asked for", together(masked(0x8a, []byte("x")), masked(0x81, []byte("a"))), []parsedFrame{text("a")}},
		{"5.5.3 a pong, then a ping", together(masked(0x8a, []byte("x")), masked(0x89, []byte("y"))), []parsedFrame{{opPong, "y"}}},
	}
}

// textCases fail as soon as a byte is wrong: what would complete the message is
// never sent.
func textCases() (cases []wireCase) {
	for _, good := range []string{"κόσμε", "\u0000", "\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\uffff", "\U00010000\U0010ffff", "\ufeff\ufdd0"} {
		cases = append(cases, wireCase{fmt.Sprintf("8.1 UTF-8 %+q", good), masked(0x81, []byte(good)), []parsedFrame{text(good)}})
		var cut []byte
		opcode := byte(0x01)
		for i := range len(good) {
			cut = append(cut, masked(opcode, []byte(good[i:i+1]))...)
			opcode = 0x00
		}
		cases = append(cases, wireCase{fmt.Sprintf("8.1 UTF-8 %+q, a fragment for each byte", good), append(cut, masked(0x80, nil)...), []parsedFrame{text(good)}})
	}
	for _, bad := range []string{"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc3(", "\xe0\x80\xaf", "\xe2\x28", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\xaf", "\xf4\x90", "\xf5", "\xf8\x88", "\xfc", "\xfe", "\xff"} {
		name := fmt.Sprintf("8.1 no UTF-8 %+q", bad)
		cases = append(cases,
			wireCase{name, masked(0x81, []byte("κ"+bad)), []parsedFrame{closing(1007)}},
			wireCase{name + ", in an unfinished message", together(masked(0x01, []byte("κ")), masked(0x00, []byte(bad))), []parsedFrame{closing(1007)}},
			wireCase{name + ", in an unfinished frame", masked(0x81, []byte("κ"+bad+strings.Repeat("x", 100)))[:6+len("κ"+bad)], []parsedFrame{closing(1007)}})
	}
	return append(cases,
		wireCase{"8.1 text ends in a character", masked(0x81, []byte("\xce")), []parsedFrame{closing(1007)}},
		wireCase{"8.1 fragments end in a character", together(masked(0x01, []byte("\xf0\x9f")), masked(0x80, nil)), []parsedFrame{closing(1007)}})
}

func closeCases() (cases []wireCase) {
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, wireCase{fmt.Sprintf("7.4 code %d is echoed", code), masked(0x88, closePayload(code, "bye")), []parsedFrame{closing(code)}})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, wireCase{fmt.Sprintf("7.4 code %d must not be sent", code), masked(0x88, closePayload(code, "")), []parsedFrame{closing(1002)}})
	}
	long := strings.Repeat("b", maxControlSize-2)
	return append(cases, []wireCase{
		{"5.5.1 a close without a code", masked(0x88, nil), []parsedFrame{{opClose, ""}}},
		{"5.5.1 a close of one byte", masked(0x88, []byte{3}), []parsedFrame{closing(1002)}},
		{"5.5.1 a reason of 123 bytes", masked(0x88, append(closePayload(1000, ""), long...)), []parsedFrame{closing(1000)}},
		{"5.5.1 no message after a close", together(masked(0x88, closePayload(1001, "")), masked(0x81, []byte("a"))), []parsedFrame{closing(1001)}},
		{"5.5.1 no pong after a close", together(masked(0x88, closePayload(1000, "")), masked(0x89, []byte("p"))), []parsedFrame{closing(1000)}},
		{"5.5.1 one close is enough", together(masked(0x88, closePayload(1000, "")), masked(0x88, closePayload(1000, ""))), []parsedFrame{closing(1000)}},
		{"5.5.1 a close between fragments", together(masked(0x01, []byte("a")), masked(0x88, closePayload(1000, "")), masked(0x80, nil)), []parsedFrame{closing(1000)}},
		{"8.1 a reason that is not UTF-8", masked(0x88, append(closePayload(1000, ""), 0xff)), []parsedFrame{closing(1002)}},
	}...)
}

// Whatever the pieces, text is refused at the first byte that cannot be UTF-8,
// and no earlier.
func TestTextIsCheckedAsItComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := []byte(rapid.String().Draw(t, "good"))
		all = append(all, rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "any")...)
		checked, valid := 0, true
		for end := 0; end < len(all) && valid; {
			end = min(len(all), end+rapid.IntRange(1, 4).Draw(t, "piece"))
			checked, valid = checkUTF8(all[:end], checked)
			require.Equal(t, canBecomeUTF8(all[:end]), valid)
		}
		require.Equal(t, utf8.Valid(all), valid && checked == len(all))
	})
}

// canBecomeUTF8 tries what could follow.
func canBecomeUTF8(b []byte) bool {
	for _, rest := range []string{"", "\x80", "\xa0", "\x90"} {
		for _, more := range []string{"", "\x80", "\x80\x80"} {
			if utf8.Valid(append(append([]byte{}, b...), rest+more...)) {
				return true
			}
		}
	}
	return false
}
