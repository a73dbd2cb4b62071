package bars

import (
	"errors"
	"fmt"

	"github.com/harkbus/pubsub/bench/internal/delivery"
	"github.com/harkbus/pubsub/bench/internal/trial"
)

// deliveryBars are the goals for publishing to M readers that want everything.
var deliveryBars = []struct {
	readers                        int
	raw, comet, cskr, nats, mill   Goal
	gateRaw, gateComet             string
	gateCskr, gateNATS, gateWaterm string
}{
	{1, AtLeast(0.4), AtLeast(8), AtLeast(4), AtLeast(4), AtLeast(4), "1.3", "19", "10–18", "34–73", "115–283"},
	{10, AtLeast(8), AtLeast(12), AtLeast(8), AtLeast(20), AtLeast(100), "10.8", "18.7", "10–18", "34–73", "115–283"},
	{100, AtLeast(8), AtLeast(18), AtLeast(8), AtLeast(20), AtLeast(100), "9.6", "22", "10–18", "34–73", "115–283"},
}

func deliveryExperiments() []Experiment {
	var all []Experiment
	for _, bar := range deliveryBars {
		all = append(all, Experiment{
			Name: fmt.Sprintf("delivery M=%d", bar.readers),
			Measure: func(s *Session) error {
				r, err := s.deliver(bar.readers, 1024, delivery.Hark, delivery.Hark, delivery.HarkBatch, delivery.HarkMessages, delivery.HarkOut,
					delivery.Raw, delivery.CometBFT, delivery.Cskr, delivery.NATS, delivery.Watermill)
				if err != nil {
					return err
				}
				to := fmt.Sprintf("delivery to %d", bar.readers)
				s.spread(to+": hark", r[0], r[1])
				raw, peers := r[5], r[6:]
				for _, ours := range []struct {
					by string
					r  *trial.Result
				}{{"NextBatch", r[2]}, {"Next", r[0]}} {
					to := to + " by " + ours.by + ": "
					s.compare(to+"raw channels ÷ hark", bar.gateRaw, bar.raw, raw, ours.r)
					s.compare(to+"CometBFT ÷ hark", bar.gateComet, bar.comet, peers[0], ours.r)
					s.compare(to+"cskr/pubsub ÷ hark", bar.gateCskr, bar.cskr, peers[1], ours.r)
					s.compare(to+"NATS ÷ hark", bar.gateNATS, bar.nats, peers[2], ours.r)
					s.compare(to+"Watermill ÷ hark", bar.gateWaterm, bar.mill, peers[3], ours.r)
				}
				s.compare(to+" by Messages: raw channels ÷ hark", "", Goal{}, raw, r[3])
				s.compare(to+" by Out: raw channels ÷ hark", "", Goal{}, raw, r[4])
				return nil
			},
		}, Experiment{
			Name: fmt.Sprintf("delivery M=%d capacity=1", bar.readers),
			Measure: func(s *Session) error {
				r, err := s.deliver(bar.readers, 1, delivery.Hark, delivery.HarkOut,
					delivery.Raw, delivery.RawSelect, delivery.CometBFT, delivery.Cskr)
				if err != nil {
					return err
				}
				raw, rawSelect, comet, cskr := r[2], r[3], r[4], r[5]
				to := fmt.Sprintf("delivery to %d, capacity 1", bar.readers)
				for i, by := range []string{", by Next", ", by Out"} {
					s.compare(to+by+": raw channels ÷ hark", "", Goal{}, raw, r[i])
					s.compare(to+by+": CometBFT ÷ hark", "", AtLeast(1.1), comet, r[i])
					s.compare(to+by+": cskr/pubsub ÷ hark", "", AtLeast(1.1), cskr, r[i])
				}
				// What no bus that wakes each reader through a channel is quicker than.
				s.compare(to+": cskr/pubsub ÷ raw channels", "", Goal{}, cskr, raw)
				s.compare(to+": CometBFT ÷ raw channels with a select", "", Goal{}, comet, rawSelect)
				return nil
			},
		})
	}
	return append(all, Experiment{Name: "delivery latency", Measure: measureLatency})
}

// deliver measures buses that all carry the same to the same readers.
func (s *Session) deliver(readers, capacity int, kinds ...delivery.Kind) ([]*trial.Result, error) {
	return s.pump(readers, capacity, (*delivery.Pump).Contender, kinds)
}

func (s *Session) pump(readers, capacity int, as func(*delivery.Pump) trial.Contender, kinds []delivery.Kind) (_ []*trial.Result, err error) {
	var contenders []trial.Contender
	for _, kind := range kinds {
		p, openErr := delivery.NewPump(kind, readers, capacity, events())
		if openErr != nil {
			return nil, openErr
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		contenders = append(contenders, as(p))
	}
	return trial.Run(s.Plan, contenders...)
}

// measureLatency compares the time from before Publish until a reader that
// waits has the item.
func measureLatency(s *Session) error {
	kinds := []delivery.Kind{delivery.Hark, delivery.Hark, delivery.Raw, delivery.Raw, delivery.CometBFT}
	r, err := s.pump(1, 1, (*delivery.Pump).LatencyContender, kinds)
	if err != nil {
		return err
	}
	s.spread("p50 latency: hark", r[0], r[1])
	noise := s.spread("p50 latency: raw channel", r[2], r[3])
	s.compare("p50 latency: hark ÷ raw channel", "1.03", AtMost(max(1.15, noise.P95)), r[0], r[2])
	s.compare("p50 latency: CometBFT ÷ hark", "", Goal{}, r[4], r[0])
	return nil
}

// events returns maps of 10 keys and 14 values.
func events() []map[string][]string {
	all := make([]map[string][]string, 1024)
	for i := range all {
		m := make(map[string][]string)
		for key := range 10 {
			for value := range 1 + (key%5+1)/4 {
				k := fmt.Sprintf("type%d.key%d", key%3, key)
				m[k] = append(m[k], fmt.Sprintf("value%d", i*31+value))
			}
		}
		all[i] = m
	}
	return all
}
