package bars

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
	"github.com/harkbus/pubsub/redisbridge"
)

// MemberCommand is the first argument of a process that is one of a bus; the
// second says what it does there.
const MemberCommand = "scale-member"

// A role is what all members of a bus do.
type role struct {
	Addresses     []string // of Redis
	Cluster       bool
	Partitions    int
	Subscriptions int           // of each member
	Every         time.Duration // between two publications of each member
	For           time.Duration // how long each publishes
}

// A member is a process with a server, subscriptions and a bridge. Its parent
// says when it goes on:
//
//	parent      member
//	         ◀─ willing
//	"attach" ─▶ Attach … Ready
//	         ◀─ joined
//	"publish" ▶ Publish …, Flush
//	         ◀─ spoken
//	end      ─▶ Close
type member struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// willing is what a member says that only waits for the word.
type willing struct{}

// joined is what a member says when its bridge is ready.
type joined struct{ Held, Resident int } // bytes: of the bridge, and of the process

// spoken is what a member says when it has published.
type spoken struct {
	Published, Received int
	CPU                 float64 // seconds
}

// settle is how long a member waits for what others have published last.
const settle = 300 * time.Millisecond

// Member is the life of one member.
func Member(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	server := pubsub.NewServer()
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	if err := r.subscribe(server); err != nil {
		return err
	}
	var received atomic.Int64
	server.Observe(func(m pubsub.Message) {
		if m.Origin() != (pubsub.Origin{}) {
			received.Add(1)
		}
	})
	parent, say := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	if err := say.Encode(willing{}); err != nil || !parent.Scan() {
		return err
	}
	before := heapInUse()
	bridge, err := redisbridge.Attach(server, r.options())
	if err != nil {
		return err
	}
	defer func() { _ = bridge.Close() }()
	if err := errors.Join(bridge.Ready(background), bridge.Announce(background)); err != nil {
		return err
	}
	ready := joined{Resident: resident(), Held: heapInUse() - before}
	if err := say.Encode(ready); err != nil || !parent.Scan() {
		return err
	}
	began := processorTime()
	published, err := r.publish(bridge)
	if err != nil {
		return err
	}
	time.Sleep(settle)
	if err := say.Encode(spoken{published, int(received.Load()), (processorTime() - began) / 1e9}); err != nil {
		return err
	}
	parent.Scan()
	return nil
}

func (r *role) options() redisbridge.Options {
	return redisbridge.Options{
		Redis:      rueidis.ClientOption{InitAddress: r.Addresses, ForceSingleClient: !r.Cluster},
		Namespace:  "scale",
		Partitions: r.Partitions,
		Route:      func(m pubsub.Message) string { return strconv.FormatUint(m.Sequence(), 10) },
	}
}

func (r *role) subscribe(server *pubsub.Server) error {
	for i := range r.Subscriptions {
		_, err := server.SubscribeWithArgs(background, pubsub.SubscribeArgs{ClientID: strconv.Itoa(i),
			Query: query.MustParse(fmt.Sprintf("account = 'a%d'", i)), Capacity: 1, Overflow: pubsub.DropOldest})
		if err != nil {
			return err
		}
	}
	return nil
}

// publish publishes at the rate of the role, whatever that takes.
func (r *role) publish(bridge *redisbridge.Bridge) (published int, err error) {
	data, began := make([]byte, 200), time.Now()
	for time.Since(began) < r.For {
		var events map[string][]string
		if r.Subscriptions > 0 {
			events = map[string][]string{"account": {"a" + strconv.Itoa(published%r.Subscriptions)}}
		}
		if err := bridge.Publish(background, data, events); err != nil {
			return published, err
		}
		published++
		time.Sleep(time.Until(began.Add(time.Duration(published) * r.Every)))
	}
	return published, bridge.Flush(background)
}

func resident() int {
	text, _ := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(text); len(fields) > 1 {
		pages, _ := strconv.Atoi(string(fields[1]))
		return pages * os.Getpagesize()
	}
	return 0
}

// startMembers starts n processes and waits until they are prepared.
func startMembers(ctx context.Context, n int, r role) (members []*member, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	for range n {
		m := &member{cmd: exec.CommandContext(ctx, self, MemberCommand, string(text))}
		m.cmd.Stderr = os.Stderr
		out, err := m.cmd.StdoutPipe()
		if err != nil {
			return members, err
		}
		m.out = bufio.NewScanner(out)
		if m.in, err = m.cmd.StdinPipe(); err != nil {
			return members, err
		}
		if err := m.cmd.Start(); err != nil {
			return members, err
		}
		members = append(members, m)
	}
	_, err = hearAll[willing](members)
	return members, err
}

// tellAll has all members go on.
func tellAll(members []*member, word string) error {
	for _, m := range members {
		if _, err := io.WriteString(m.in, word+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// hearAll waits for what all members say.
func hearAll[T any](members []*member) (all []T, err error) {
	for _, m := range members {
		var said T
		if !m.out.Scan() {
			return nil, errors.New("a member has ended too early")
		}
		if err := json.Unmarshal(m.out.Bytes(), &said); err != nil {
			return nil, err
		}
		all = append(all, said)
	}
	return all, nil
}

// endAll ends all members and waits for them.
func endAll(members []*member) (err error) {
	for _, m := range members {
		err = errors.Join(err, m.in.Close())
	}
	for _, m := range members {
		err = errors.Join(err, m.cmd.Wait())
	}
	return err
}
