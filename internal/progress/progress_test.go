package progress

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipe returns both ends of a connection of a line, in fake time.
func pipe(t *testing.T, line *Line) (ours, theirs net.Conn) {
	t.Helper()
	ours, theirs = net.Pipe()
	conn, err := line.Dial(func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) { return ours, nil })(t.Context(), "", nil, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(); _ = theirs.Close() })
	return conn, theirs
}

func TestLongReplyThatMakesProgressIsReadToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t, NewLine(time.Second, 100*time.Millisecond))
		go func() {
			buf := make([]byte, 10)
			_, _ = io.ReadFull(peer, buf)
			for range 100 {
				time.Sleep(900 * time.Millisecond)
				_, _ = peer.Write(buf[:1])
			}
		}()
		_, err := conn.Write(make([]byte, 10))
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 100))
		require.NoError(t, err)
	})
}

func TestSilenceEndsAConnectionInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t, NewLine(time.Second, 100*time.Millisecond))
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		began := time.Now()
		read := make(chan error)
		go func() { _, err := conn.Read(make([]byte, 1)); read <- err }()
		for range 2 {
			time.Sleep(100 * time.Millisecond)
			_, err := conn.Write([]byte("ping"))
			require.NoError(t, err)
		}
		require.ErrorIs(t, <-read, os.ErrDeadlineExceeded)
		require.Less(t, time.Since(began), 1110*time.Millisecond, "more writes do not put it off")
	})
}

func TestSilenceAfterAPartOfAReplyEndsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t, NewLine(time.Second, 100*time.Millisecond))
		go func() {
			_, _ = io.ReadFull(peer, make([]byte, 4))
			_, _ = peer.Write([]byte("half"))
		}()
		_, err := conn.Write([]byte("ping"))
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 8))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

func TestWriteThatNobodyTakesEndsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := pipe(t, NewLine(time.Second, 100*time.Millisecond))
		began := time.Now()
		_, err := conn.Write(make([]byte, 10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
	})
}

// A link whose round trip is longer than the silence that is allowed is used
// after a few attempts, and goes on being used.
func TestSilenceThatIsAllowedAdaptsToTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := NewLine(time.Second, 100*time.Millisecond)
		ask := func() error {
			conn, peer := pipe(t, line)
			defer conn.Close()
			go func() {
				_, _ = io.ReadFull(peer, make([]byte, 4))
				time.Sleep(3 * time.Second)
				_, _ = peer.Write([]byte("pong"))
			}()
			if _, err := conn.Write([]byte("ping")); err != nil {
				return err
			}
			_, err := io.ReadFull(conn, make([]byte, 4))
			return err
		}
		failures := 0
		for range 20 {
			if ask() != nil {
				failures++
			}
		}
		require.Equal(t, 2, failures)
	})
}

func TestSilenceThatIsAllowedShrinksWhileAnswersArePrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := NewLine(time.Second, 100*time.Millisecond)
		for range 9 {
			line.stalled()
		}
		require.Equal(t, longestSilence, line.allowed(0))
		for range 10 {
			time.Sleep(calm)
			line.answered(10, time.Millisecond)
		}
		require.Equal(t, time.Second, line.allowed(0))
	})
}

func TestWhatIsNotAnsweredMayTakeAsLongAsItTook(t *testing.T) {
	line := NewLine(time.Second, 100*time.Millisecond)
	line.answered(1<<20, 8*time.Second) // 1 Mbit/s
	require.Greater(t, line.allowed(1<<20), 30*time.Second)
	line.answered(1<<20, 10*time.Millisecond)
	require.Less(t, line.allowed(1<<20), 1100*time.Millisecond)
}

func TestDeadlineOfTheUserHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := NewLine(time.Second, 100*time.Millisecond)
		conn, _ := pipe(t, line)
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Millisecond)))
		began := time.Now()
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		_, err = conn.Write(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 10*time.Millisecond, time.Since(began))
		require.Equal(t, time.Second, line.allowed(0), "it says nothing about the link")
	})
}

func TestClosedLineEndsItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := NewLine(time.Second, 100*time.Millisecond)
		conn, _ := pipe(t, line)
		gone, _ := pipe(t, line)
		require.NoError(t, gone.Close())
		read := make(chan error)
		go func() { _, err := conn.Read(make([]byte, 1)); read <- err }()
		synctest.Wait()
		line.Close()
		require.ErrorIs(t, <-read, io.ErrClosedPipe)
		_, err := line.Dial(func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
			c, _ := net.Pipe()
			return c, nil
		})(t.Context(), "", nil, nil)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// What is written at a time passes in a part of the time that silence may last,
// so that a slow link is not taken for a dead one.
func TestWhatIsWrittenAtATimeAdaptsToTheLink(t *testing.T) {
	line := NewLine(time.Second, time.Second)
	_, first := line.writing()
	line.answered(1<<20, time.Millisecond)
	_, fast := line.writing()
	line.answered(64<<10, time.Second/4) // 2 Mbit/s
	_, slow := line.writing()
	for range 4 {
		line.stalled()
	}
	_, slowest := line.writing()
	require.Equal(t, []int{firstRate / 8, largestChunk, 32 << 10, smallestChunk}, []int{first, fast, slow, slowest})
}
