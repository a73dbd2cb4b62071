package bars

import (
	"errors"
	"fmt"
	"time"

	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/bench/internal/wire"
)

func wireExperiments() []Experiment {
	return []Experiment{
		{Name: "wire: delivery", Measure: measureWireDelivery},
		{Name: "wire: costs", Measure: measureWireCosts},
		{Name: "wire: stalled peers", Measure: measureStalledPeers},
		{Name: "wire: crowd", Measure: measureCrowds},
	}
}

const wireClients = 1000

// measureWireDelivery compares the processor time of deliveries over WebSocket.
func measureWireDelivery(s *Session) error {
	load := wire.Load{Connections: wireClients, Burst: 20, Bursts: 8}
	var contenders []trial.Contender
	for _, c := range []wire.Contender{wire.Hark, wire.Hark, wire.HarkDifferent, wire.Gorilla, wire.Centrifuge, wire.NATS} {
		contenders = append(contenders, load.Contender(c))
	}
	r, err := trial.Run(s.Plan, append(contenders, wire.CometBFTEncoding)...)
	if err != nil {
		return err
	}
	of := fmt.Sprintf("processor time, %s WebSockets: ", number(wireClients))
	s.spread(of+"hark", r[0], r[1])
	ours, different, gorilla := r[0], r[2], r[3]
	s.compare(of+"plain gorilla ÷ hark", "7–14", AtLeast(6), gorilla, ours)
	s.compare(of+"plain gorilla ÷ hark, all queries different", "", AtLeast(4), gorilla, different)
	s.compare(of+"centrifuge ÷ hark", "4–10", Goal{}, r[4], ours)
	s.compare(of+"NATS ÷ hark", "", Goal{}, r[5], ours)
	s.compare(of+"CometBFT's encoding alone ÷ hark", "42–67", Goal{}, r[6], ours)
	return nil
}

// measureWireCosts counts what repeats exactly, or nearly so.
func measureWireCosts(s *Session) error {
	encodings, err := wire.Encodings(50, 100)
	if err != nil {
		return err
	}
	s.count("payload encodings, each publication and form", "", AtMost(1), encodings, "50 clients of each form")
	allocations, err := wire.Allocations(wireClients)
	if err != nil {
		return err
	}
	s.count("allocations a delivery", "", AtMost(0.01), allocations, number(wireClients)+" subscribers of one event")
	for _, c := range []struct {
		what, hello string
		goal        Goal
	}{
		{"", wire.Health, AtMost(10 << 10)},
		{" with a subscription", wire.Subscription, Goal{}},
	} {
		bytes, err := wire.IdleBytes(wireClients, c.hello)
		if err != nil {
			return err
		}
		s.count("bytes an idle connection"+c.what, "", c.goal, bytes, "heap and stacks")
	}
	return nil
}

// measureStalledPeers compares the latencies of those who read, beside a tenth
// who does not and beside a tenth who does.
func measureStalledPeers(s *Session) (err error) {
	const size = 200
	theater, err := wire.OpenTheater(size, false, false, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, theater.Close()) }()
	plan := s.Plan
	plan.Budget *= 3 // percentiles of a machine's whims need many samples
	r, err := trial.Run(plan, theater.Contender(0), theater.Contender(1), theater.Contender(2))
	if err != nil {
		return err
	}
	if theater.Dropped() == 0 {
		return errors.New("nobody has stalled")
	}
	s.spread("p99 of those who read", r[0], r[1])
	noise := trial.MedianSpread(r[0], r[1])
	s.count(fmt.Sprintf("p99 of the others, %d of %d peers stalled ÷ none", size/10, size), "", AtMost(noise+0.05),
		r[2].Median()/r[0].Median(), fmt.Sprintf("%s ÷ %s, medians of %d samples; A/A %s",
			Nanoseconds(r[2].Median()), Nanoseconds(r[0].Median()), len(r[0].Samples), Figure(noise)))
	return nil
}

// measureCrowds measures how long many clients take to come back.
func measureCrowds(s *Session) error {
	const n, missed = 10_000, 5
	crowd, err := wire.NewCrowd(n)
	if err != nil {
		return err
	}
	defer crowd.Close()
	for _, c := range []struct {
		what  string
		storm func(publications int) (time.Duration, error)
	}{
		{"cut, until all have what they missed", crowd.Cut},
		{"after a restart, until all are told the gap", crowd.Restart},
	} {
		r := trial.Result{}
		for range trial.MinRounds {
			took, err := c.storm(missed)
			if err != nil {
				return err
			}
			r.Samples = append(r.Samples, took.Seconds())
		}
		s.count(fmt.Sprintf("seconds, %s clients %s", number(n), c.what), "", AtMost(5), r.Min(),
			fmt.Sprintf("least of %d storms, median %s; clients and server share the processors", len(r.Samples), Figure(r.Median())))
	}
	return nil
}
