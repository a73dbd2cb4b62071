package redisbridge

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub/internal/backoff"
)

// restampAfter is the age at which a frame that is sent again gets a new stamp:
// readers take up an origin only with a frame that is fresh.
const restampAfter = freshness / 4

// A writer sends the frames of a partition, in one ordered window: what is not
// answered is sent again, from the oldest on. There is no deadline but that of
// the connection on progress, and every answer that has arrived counts.
type writer struct {
	*member
	partition int
	keys      partitionNames
	box       *outbox
	sign      *Key          // of the partition; nil: nothing is signed
	finished  chan struct{} // closed by run

	command     func(client rueidis.Client, f *sealed, oldest bool) rueidis.Completed
	scriptKnown bool
	wrote       int64 // when Redis has written the last frame that is answered, ms, or later
	fixedArgs   [2]string
}

func newWriter(m *member, partition int, box *outbox) *writer {
	w := &writer{
		member:    m,
		partition: partition,
		keys:      namesOfPartition(m.opt.Namespace, partition, m.origin),
		box:       box,
		sign:      m.sign.at(m.placeOf(partition)),
		finished:  make(chan struct{}),
	}
	w.command = w.publish
	if m.opt.Mode == Durable {
		w.command = w.appendToStream
		w.fixedArgs = [2]string{strconv.FormatInt(m.opt.RetainFrames, 10), millis(m.opt.keyLife())}
	}
	return w
}

// run sends batches until their channel is closed.
func (w *writer) run(batches <-chan []sealed) {
	defer close(w.finished)
	for batch := range batches {
		w.deliver(batch)
	}
}

// deliver sends a batch until all of it is answered or the member ends.
func (w *writer) deliver(batch []sealed) {
	retry := backoff.New(minBackoff, maxBackoff)
	part := "send on partition " + strconv.Itoa(w.partition)
	for len(batch) > 0 {
		began := time.Now()
		n, err := w.send(batch)
		w.acknowledge(batch[:n])
		batch = batch[n:]
		switch {
		case w.ctx.Err() != nil:
			return
		case err == nil:
			w.notes.works(part)
		case errors.Is(err, errAgain):
		case errors.Is(err, errPoisoned):
			for i := range batch {
				batch[i].force = true
			}
		case isA[restampError](err): // the clock of the node is not the one that we know
			for i := range batch {
				w.restamp(&batch[i], int64(err.(restampError)))
				batch[i].dictated = true
			}
		default:
			w.counts.failures.Add(1)
			w.notes.fails(part, err)
			retry.Lasted(time.Since(began))
			if retry.Wait(w.ctx) != nil {
				return
			}
		}
	}
}

// errAgain says that sending can go on at once from the oldest frame that is
// not answered.
var errAgain = errors.New("out of step")

// errPoisoned says that Redis claims to have what was never sent before: the
// last sequence of this origin is not ours. (What was sent before may still be
// on its way through a connection that is given up, so sending is no proof that
// something was not written, but the first answer to it is.) Then the stream
// itself has to say what it has of this origin.
var errPoisoned = errors.New("somebody else has written our last sequence")

// A restampError says which stamp a frame must have.
type restampError int64

func (restampError) Error() string { return "the stamp is not near to the time of Redis" }

func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// send sends frames and returns how many of them, from the first on, are
// answered.
func (w *writer) send(batch []sealed) (answered int, err error) {
	client, err := w.awaitLayout(w.ctx)
	if err != nil {
		return 0, err
	}
	commands := make([]rueidis.Completed, 0, len(batch))
	for i := range batch {
		f := &batch[i]
		if f.frame == "" {
			continue
		}
		w.prepare(f)
		commands = append(commands, w.command(client, f, len(commands) == 0))
	}
	if len(commands) == 0 {
		return len(batch), nil
	}
	results := client.DoMulti(w.ctx, commands...)
	for i := range batch {
		if batch[i].frame == "" {
			continue
		}
		if err := w.check(&batch[i], results[0], len(results) == len(commands)); err != nil {
			return i, err
		}
		results = results[1:]
	}
	return len(batch), nil
}

// prepare counts the attempt, and stamps a frame again that has become old.
func (w *writer) prepare(f *sealed) {
	if f.tries++; f.tries == 1 {
		return
	}
	w.counts.resent.Add(1)
	if now := w.clock.at(time.Now()); !f.dictated && abs(now-f.stamp) > restampAfter.Microseconds() {
		w.restamp(f, now)
	}
}

// restamp replaces a frame by a copy: the client may still hold the bytes.
func (w *writer) restamp(f *sealed, stamp int64) {
	if f.frame == "" {
		return
	}
	f.frame = rueidis.BinaryString(reseal([]byte(f.frame), stamp, w.sign))
	f.stamp, f.buf = stamp, nil
	w.beat.stamped(w.partition, stamp, false)
}

// check judges the answer to one frame.
func (w *writer) check(f *sealed, r rueidis.RedisResult, oldest bool) error {
	n, err := r.AsInt64()
	switch {
	case hasCode(err, "NOSCRIPT"):
		w.scriptKnown = false
		return errAgain
	case err != nil:
		return err
	case w.opt.Mode == Live: // n is how many subscribers there were
		return nil
	case n < -1:
		return restampError(-n * 1000)
	case n < 0:
		return errAgain
	case n == 0 && (f.tries == 1 || f.force && !oldest):
		return errPoisoned
	case n == 0:
		w.counts.already.Add(1)
		w.wrote = f.stamp/1000 + (freshness / 2).Milliseconds()
	default:
		w.wrote = n
	}
	w.scriptKnown = true
	return nil
}

// publish is the command of Live.
func (w *writer) publish(client rueidis.Client, f *sealed, _ bool) rueidis.Completed {
	return w.link.publishing(client, w.keys.channel, f.frame)
}

// appendToStream is the command of Durable. The oldest frame that is not
// answered may come after anything; the others only after the one before them.
func (w *writer) appendToStream(client rueidis.Client, f *sealed, oldest bool) rueidis.Completed {
	how := "next"
	switch {
	case !oldest:
	case f.force:
		how = "forced"
	case f.tries > 1:
		how = "again"
	default:
		how = "oldest"
	}
	first := f.last - uint64(f.events) + 1
	keys := []string{w.keys.stream, w.keys.origin, w.keys.last}
	args := []string{decimal(f.previous), decimal(first), decimal(f.last), f.frame, how, w.fixedArgs[0], w.fixedArgs[1],
		strconv.FormatInt(f.stamp/1000, 10), millis(freshness / 2), strconv.FormatInt(w.wrote, 10)}
	if oldest && !w.scriptKnown {
		return writeScript.whole(client.B(), keys, args)
	}
	return writeScript.known(client.B(), keys, args)
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// acknowledge counts what is answered and makes room in the outbox.
func (w *writer) acknowledge(batch []sealed) {
	var gone load
	var ticket uint64
	for i := range batch {
		f := &batch[i]
		switch {
		case f.events > 0:
			w.counts.sentEvents.Add(uint64(f.events))
			w.counts.sentFrames.Add(1)
			w.counts.sentBytes.Add(uint64(len(f.frame)))
			f.reuse()
		case f.frame != "":
			w.counts.marks.Add(1)
		}
		gone.add(f.gone.count, f.gone.bytes)
		ticket = max(ticket, f.ticket)
	}
	if gone.count > 0 {
		w.box.release(gone, ticket)
	}
}

// keep trims the stream by age, whether anything is published or not, until the
// member ends.
func (w *writer) keep() {
	ticker := time.NewTicker(min(max(w.opt.Retention/4, 250*time.Millisecond), time.Minute))
	defer ticker.Stop()
	part := "trim partition " + strconv.Itoa(w.partition)
	for {
		w.try(part, func(ctx context.Context) (bool, error) {
			client, err := w.awaitLayout(ctx)
			if err != nil {
				return true, err
			}
			keys := []string{w.keys.stream, w.keys.last, w.keys.origin}
			return true, keepScript.run(ctx, client, keys, millis(w.opt.Retention), millis(w.opt.keyLife())).Error()
		})
		select {
		case <-ticker.C:
		case <-w.ctx.Done():
			return
		}
	}
}
