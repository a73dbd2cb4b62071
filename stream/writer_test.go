package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A recorder is a connection that keeps what is written, and counts writes.
type recorder struct {
	net.Conn
	mu     sync.Mutex
	bytes  []byte
	writes int
	gate   chan struct{} // if not nil, a write waits for it
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.gate != nil {
		<-r.gate
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes = append(r.bytes, b...)
	r.writes++
	return len(b), nil
}
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
func (r *recorder) Close() error                     { return nil }

type parsedFrame struct {
	opcode  byte
	payload string
}

// parseFrames reads frames of a server. It fails if the last one is cut.
func parseFrames(b []byte) (frames []parsedFrame, err error) {
	for len(b) > 0 {
		if len(b) < 2 || b[0]&0x70 != 0 || b[0]&finalBit == 0 || b[1]&0x80 != 0 {
			return frames, fmt.Errorf("bad header % x", b[:min(2, len(b))])
		}
		n, header := uint64(b[1]), 2
		switch n {
		case 126:
			n, header = uint64(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, header = binary.BigEndian.Uint64(b[2:]), 10
		}
		if uint64(len(b)-header) < n {
			return frames, errors.New("cut")
		}
		frames = append(frames, parsedFrame{b[0] & 0xf, string(b[header : header+int(n)])})
		b = b[header+int(n):]
	}
	return frames, nil
}

func newTestWriter(conn net.Conn) *writer {
	w := &writer{}
	w.init(conn, time.Second, 1<<20, &budget{limit: 1 << 30}, &writeCounts{})
	return w
}

// A list is a source of frames that are ready.
type list struct{ frames []frame }

func (l *list) fill(b *batch) {
	for len(l.frames) > 0 && b.open() {
		b.add(l.frames[0])
		l.frames = l.frames[1:]
	}
}

func TestABurstIsOneWrite(t *testing.T) {
	conn := &recorder{}
	w := newTestWriter(conn)
	src := &list{}
	for range 100 {
		src.frames = append(src.frames, frame{opcode: opText, head: []byte("head"), tail: []byte("tail")})
	}
	require.NoError(t, w.send(frame{opcode: opText, tail: []byte("first")}, src))
	frames, err := parseFrames(conn.bytes)
	require.NoError(t, err)
	require.Len(t, frames, 101)
	require.Equal(t, "headtail", frames[100].payload)
	require.Equal(t, 1, conn.writes)
}

func TestFramesComeWholeInOrderWhateverTheirSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		conn := &recorder{}
		w := newTestWriter(conn)
		size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(batchSize-20, batchSize+20), rapid.IntRange(65530, 65540), rapid.IntRange(0, 100_000))
		sizes := rapid.SliceOfN(size, 1, 20).Draw(t, "sizes")
		src := &list{}
		var want []string
		for i, n := range sizes {
			head, tail := bytes.Repeat([]byte{'a' + byte(i)}, n/3), bytes.Repeat([]byte{'A' + byte(i)}, n-n/3)
			src.frames = append(src.frames, frame{opcode: opText, head: head, tail: tail})
			want = append(want, string(head)+string(tail))
		}
		first := src.frames[0]
		src.frames = src.frames[1:]
		require.NoError(t, w.send(first, src))
		for len(src.frames) > 0 {
			f := src.frames[0]
			src.frames = src.frames[1:]
			require.NoError(t, w.send(f, src))
		}
		frames, err := parseFrames(conn.bytes)
		require.NoError(t, err)
		require.Len(t, frames, len(want))
		for i := range want {
			require.Equal(t, want[i], frames[i].payload)
		}
		require.Zero(t, w.queued)
		require.Zero(t, w.budget.used.Load())
	})
}

func TestManySendersKeepTheirOwnOrder(t *testing.T) {
	conn := &recorder{}
	w := newTestWriter(conn)
	var senders sync.WaitGroup
	for s := range 8 {
		senders.Go(func() {
			for i := range 500 {
				if err := w.send(frame{opcode: opText, tail: fmt.Appendf(nil, "%d %d", s, i)}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	w.fail(net.ErrClosed) // nothing is lost: it is after the last Write, or it is in the queue
	w.await()
	frames, err := parseFrames(conn.bytes)
	require.NoError(t, err)
	next := map[int]int{}
	for _, f := range frames {
		var s, i int
		_, err := fmt.Sscanf(f.payload, "%d %d", &s, &i)
		require.NoError(t, err)
		require.Equal(t, next[s], i)
		next[s]++
	}
}

func TestControlFramesComeBetweenFramesAndDoNotPileUp(t *testing.T) {
	conn := &recorder{gate: make(chan struct{})}
	w := newTestWriter(conn)
	var sender sync.WaitGroup
	sender.Go(func() { _ = w.send(frame{opcode: opText, tail: make([]byte, 3*batchSize)}, nil) })
	conn.gate <- struct{}{} // the first part is written
	for i := range 1000 {
		w.sendPong([]byte{byte(i)})
		w.sendPing()
	}
	w.finish(closePayload(1001, "bye"))
	close(conn.gate)
	sender.Wait()
	<-w.over
	w.await()
	frames, err := parseFrames(conn.bytes)
	require.NoError(t, err)
	var opcodes []byte
	for _, f := range frames {
		opcodes = append(opcodes, f.opcode)
	}
	require.Equal(t, []byte{opText, opPong, opPing, opClose}, opcodes)
	require.Equal(t, string([]byte{byte(999 % 256)}), frames[1].payload, "the last ping is answered")
	require.ErrorIs(t, w.send(frame{opcode: opText}, nil), errCloseSent)
}

// The queue holds at most its limit and one frame, and send waits.
func TestAFullQueueMakesSendersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &recorder{gate: make(chan struct{})}
		w := newTestWriter(conn)
		w.limit = 1000
		go func() { _ = w.send(frame{opcode: opText, tail: make([]byte, 600)}, nil) }()
		synctest.Wait()
		sent := make(chan error)
		go func() { sent <- w.send(frame{opcode: opText, tail: make([]byte, 600)}, nil) }()
		go func() { sent <- w.send(frame{opcode: opText, tail: make([]byte, 600)}, nil) }()
		require.NoError(t, <-sent)
		synctest.Wait()
		select {
		case <-sent:
			t.Fatal("the third does not wait")
		default:
		}
		require.LessOrEqual(t, w.queued, 1300)
		close(conn.gate)
		require.NoError(t, <-sent)
		synctest.Wait()
		require.Zero(t, w.queued)
	})
}

// Once the bytes of all connections are used up, one with an empty queue goes
// on, and one with something queued waits for itself.
func TestAnExhaustedBudgetStopsOnlyThoseWhoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		total := &budget{limit: 1000}
		slow, fast := &writer{}, &writer{}
		stuck := &recorder{gate: make(chan struct{})}
		slow.init(stuck, time.Second, 1<<20, total, &writeCounts{})
		conn := &recorder{}
		fast.init(conn, time.Second, 1<<20, total, &writeCounts{})
		go func() { _ = slow.send(frame{opcode: opText, tail: make([]byte, 2000)}, nil) }()
		synctest.Wait()
		waiting := make(chan error)
		go func() { waiting <- slow.send(frame{opcode: opText, tail: make([]byte, 10)}, nil) }()
		require.NoError(t, fast.send(frame{opcode: opText, tail: []byte("x")}, nil))
		require.Equal(t, 1, conn.writes)
		synctest.Wait()
		select {
		case <-waiting:
			t.Fatal("it does not wait")
		default:
		}
		close(stuck.gate)
		require.NoError(t, <-waiting)
		synctest.Wait()
		require.Zero(t, total.used.Load())
	})
}

// A partial is a connection that takes n bytes, then nothing for a timeout, and
// then all.
type partial struct {
	recorder
	n     int
	stuck bool
}

func (p *partial) Write(b []byte) (int, error) {
	switch {
	case p.stuck:
		p.stuck = false
		return 0, os.ErrDeadlineExceeded
	case p.n >= 0 && p.n < len(b):
		n, _ := p.recorder.Write(b[:p.n])
		p.n, p.stuck = -1, n > 0
		return n, os.ErrDeadlineExceeded
	}
	return p.recorder.Write(b)
}

func TestAPeerThatReadsAtTheLastMomentGetsTheFarewell(t *testing.T) {
	for _, n := range []int{0, 1, 5, 6, 7, 11} {
		conn := &partial{n: n}
		w := newTestWriter(conn)
		w.farewell = func() ([]frame, []byte) {
			return []frame{{opcode: opText, tail: []byte("it ends")}}, closePayload(1013, "slow")
		}
		src := &list{frames: []frame{{opcode: opText, tail: []byte("cdef")}}}
		require.ErrorIs(t, w.send(frame{opcode: opText, tail: []byte("abcd")}, src), errStalled)
		frames, err := parseFrames(conn.bytes)
		require.NoError(t, err, "cut at %d", n)
		last := frames[len(frames)-2:]
		require.Equal(t, "it ends", last[0].payload)
		require.Equal(t, byte(opClose), last[1].opcode)
		require.ErrorIs(t, w.send(frame{opcode: opText}, nil), errStalled)
	}
}

func TestAFailedWriteEndsAllSenders(t *testing.T) {
	server, client := net.Pipe()
	w := newTestWriter(server)
	w.limit = 10
	results := make(chan error, 3)
	for range 3 {
		go func() { results <- w.send(frame{opcode: opText, tail: make([]byte, 100)}, nil) }()
	}
	_, err := io.ReadFull(client, make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, client.Close())
	var failed int
	for range 3 {
		if err := <-results; err != nil {
			failed++
		}
	}
	require.NotZero(t, failed)
	w.await()
	require.Zero(t, w.budget.used.Load())
}

// What ends a connection ends its senders at once, though a Write of it is stuck
// until its deadline.
func TestSendersDoNotWaitForAWriteThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &recorder{gate: make(chan struct{})}
		w := newTestWriter(conn)
		w.limit = 10
		go func() { _ = w.send(frame{opcode: opText, tail: make([]byte, 100)}, nil) }()
		synctest.Wait()
		sent := make(chan error, 1)
		go func() { sent <- w.send(frame{opcode: opText, tail: make([]byte, 100)}, nil) }()
		go w.settle()
		synctest.Wait()
		require.ErrorIs(t, w.fail(net.ErrClosed), net.ErrClosed)
		synctest.Wait()
		select {
		case err := <-sent:
			require.ErrorIs(t, err, net.ErrClosed)
		default:
			t.Error("a sender waits")
		}
		close(conn.gate)
		w.await()
		require.Zero(t, w.budget.used.Load())
	})
}

// Any frames through any sequence of full and short writes are read back.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 1, 125, 126, 255}, uint16(3))
	f.Fuzz(func(t *testing.T, sizes []byte, scale uint16) {
		if len(sizes) > 64 {
			return
		}
		conn := &recorder{}
		w := newTestWriter(conn)
		src := &list{}
		for i, n := range sizes {
			src.frames = append(src.frames, frame{opcode: opText, head: bytes.Repeat([]byte{'h'}, i), tail: bytes.Repeat([]byte{'t'}, int(n)*int(scale%2048))})
		}
		want := len(sizes) + 1
		require.NoError(t, w.send(frame{opcode: opText}, src))
		for len(src.frames) > 0 {
			next := src.frames[0]
			src.frames = src.frames[1:]
			require.NoError(t, w.send(next, src))
		}
		frames, err := parseFrames(conn.bytes)
		require.NoError(t, err)
		require.Len(t, frames, want)
		for i, f := range frames[1:] {
			require.Len(t, f.payload, i+int(sizes[i])*int(scale%2048))
		}
	})
}

// A frame counts until all of it has been written, not until its first part has.
func TestALargeFrameCountsUntilItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &recorder{gate: make(chan struct{})}
		w := newTestWriter(conn)
		const size = 1 << 20
		w.limit = size / 4
		go func() { _ = w.send(frame{opcode: opBinary, tail: make([]byte, size)}, nil) }()
		sent := make(chan error, 1)
		for part := range 4 {
			synctest.Wait()
			w.mu.Lock()
			require.InDelta(t, size-part*batchSize, w.queued, 100)
			require.EqualValues(t, w.queued, w.budget.used.Load())
			w.mu.Unlock()
			if part == 0 {
				go func() { sent <- w.send(frame{opcode: opBinary, tail: make([]byte, size)}, nil) }()
				synctest.Wait()
			}
			require.Empty(t, sent, "the next one waits")
			conn.gate <- struct{}{}
		}
		close(conn.gate)
		require.NoError(t, <-sent)
		synctest.Wait()
		require.Zero(t, w.queued)
		require.Zero(t, w.budget.used.Load())
	})
}

// What is on its way is not held any more, whether it fits into a Write or not.
func TestWhatIsWrittenIsNotHeld(t *testing.T) {
	for _, size := range []int{0, 100, 3 * batchSize} {
		w := newTestWriter(&recorder{})
		require.NoError(t, w.send(frame{opcode: opText, tail: make([]byte, size)}, nil))
		require.NoError(t, w.send(frame{opcode: opBinary, tail: make([]byte, size), sequence: 7}, nil))
		w.settle()
		require.Zero(t, w.frames.Load(), "%d bytes", size)
		require.Zero(t, w.messages.Load(), "%d bytes", size)
		require.EqualValues(t, 7, w.passed.Load())
	}
}
