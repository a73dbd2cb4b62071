package pubsub

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// In the package, because no caller can stop a reader between counting itself
// as a sleeper and waiting for its token, where a message and the end make one
// token: whoever takes the last message with it leaves the end to be found.
func TestEveryReaderThatWaitsLearnsOfTheEnd(t *testing.T) {
	reads := map[string]func(context.Context, *Subscription) (int, error){
		"Next": func(ctx context.Context, sub *Subscription) (int, error) {
			_, err := sub.Next(ctx)
			return 1, err
		},
		"NextBatch": func(ctx context.Context, sub *Subscription) (int, error) {
			return sub.NextBatch(ctx, make([]Message, 2))
		},
	}
	for name, read := range reads {
		for messages := 1; messages <= 3; messages++ {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sub := &Subscription{topic: noTopic, capacity: 10}
					sub.cursor.word.Store(offLog) // it is fed
					sub.makeTokenLocked()
					const readers = 5
					sub.sleepers.Store(readers) // all are about to wait
					for range messages {
						require.Equal(t, taken, sub.offer(&Message{}))
					}
					sub.end(ErrUnsubscribed)

					ctx, cancel := context.WithCancel(t.Context())
					defer cancel() // ends those that sleep all the same
					received := make(chan int, readers)
					for range readers {
						go func() {
							sub.sleep(ctx.Done())
							if n, err := read(ctx, sub); err == nil {
								received <- n
							} else if err == ErrUnsubscribed {
								received <- 0
							}
						}()
					}
					synctest.Wait()
					require.Len(t, received, readers, "one still sleeps")
					all := 0
					for range readers {
						all += <-received
					}
					require.Equal(t, messages, all)
				})
			})
		}
	}
}
