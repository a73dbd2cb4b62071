package subclient_test

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"hash"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/harkbus/pubsub/internal/messages"
	"github.com/harkbus/pubsub/pubclient"
	"github.com/harkbus/pubsub/stream"
	"github.com/harkbus/pubsub/subclient"
)

var (
	maxMessageSize  = flag.Int("maxMessageSize", 4096, "largest message, in bytes")
	testDataSize    = flag.Int("testDataSize", 1_000_000, "messages of one round of one publisher, in bytes")
	publisherCount  = flag.Int("publisherCount", 3, "publishers")
	subscriberCount = flag.Int("subscriberCount", 3, "subscribers")
	duration        = flag.Duration("duration", 31*time.Second, "how long to publish; with -short a second")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every subscriber gets all messages of every publisher, in its order, and
// nothing else: the hash of what came from each is that of what it sent.
//
// The messages of a publisher are the same, round after round; the last has
// its number and the hash of all it sent.
func TestEverySubscriberGetsWhatEveryPublisherSent(t *testing.T) {
	length := *duration
	if testing.Short() {
		length = time.Second
	}
	server := httptest.NewServer(stream.WebSocketHandler(t.Context()))
	defer server.Close()
	u, err := url.Parse("ws" + strings.TrimPrefix(server.URL, "http") + "/hash")
	require.NoError(t, err)

	var subscribers, publishers sync.WaitGroup
	for range *subscriberCount {
		sub, _, err := subclient.New(t.Context(), nil, u)
		require.NoError(t, err)
		subscribers.Go(func() { receiveAll(t, sub) })
	}
	end := time.Now().Add(length)
	for i := range *publisherCount {
		pub, _, err := pubclient.New(t.Context(), u)
		require.NoError(t, err)
		publishers.Go(func() { publishAll(t, pub, byte(i), end) })
	}
	publishers.Wait()
	subscribers.Wait()
}

// Each message begins with its publisher, whether it is the last, and its
// number.
const headerSize = 10

func header(publisher byte, last bool, number uint64) []byte {
	flag := byte(0)
	if last {
		flag = 1
	}
	return binary.BigEndian.AppendUint64([]byte{publisher, flag}, number)
}

func publishAll(t *testing.T, pub *pubclient.Publisher, index byte, end time.Time) {
	defer pub.Close()
	sum, number := sha256.New(), uint64(0)
	all := messages.New(uint64(index), *maxMessageSize, *testDataSize)
	for time.Now().Before(end) {
		for _, m := range all {
			m = append(header(index, false, number), m...)
			sum.Write(m)
			if err := pub.Publish(m); err != nil {
				t.Error(err)
				return
			}
			number++
		}
	}
	if err := pub.Publish(sum.Sum(header(index, true, number))); err != nil {
		t.Error(err)
	}
	t.Logf("publisher %d: %d messages", index, number)
}

func receiveAll(t *testing.T, sub *subclient.Subscriber) {
	defer sub.Close()
	sums, next := make([]hash.Hash, *publisherCount), make([]uint64, *publisherCount)
	for left := *publisherCount; left > 0; {
		m, err := sub.Next(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		from, number := m.Data[0], binary.BigEndian.Uint64(m.Data[2:headerSize])
		if number != next[from] {
			t.Errorf("publisher %d: message %d after %d", from, number, next[from])
			return
		}
		next[from]++
		if sums[from] == nil {
			sums[from] = sha256.New()
		}
		if m.Data[1] == 1 {
			left--
			if string(sums[from].Sum(nil)) != string(m.Data[headerSize:]) {
				t.Errorf("publisher %d: the hash differs", from)
			}
			continue
		}
		sums[from].Write(m.Data)
	}
}
