package bars

import (
	"github.com/harkbus/pubsub/bench/internal/cities"
	"github.com/harkbus/pubsub/bench/internal/trial"
)

func jsonExperiments() []Experiment {
	var all []Experiment
	for _, c := range cities.Classes {
		all = append(all, Experiment{Name: "json: " + c.Name, Measure: func(s *Session) error { return s.measureJSON(&c) }})
	}
	return all
}

// measureJSON compares finding the rules that match lines of JSON, parsing
// included. Quamina reads no further than it must; so does the one that is
// compared with it, and the other checks the whole line.
func (s *Session) measureJSON(c *cities.Class) error {
	lines, err := cities.Sample(c.File)
	if err != nil {
		return err
	}
	theirs, err := c.Quamina()
	if err != nil {
		return err
	}
	counts, err := cities.Counts(theirs, lines)
	if err != nil {
		return err
	}
	r, err := trial.Run(s.Plan,
		cities.Walk("hark", c.Hark(true), lines, counts),
		cities.Walk("hark again", c.Hark(true), lines, counts),
		cities.Walk("hark, all of it checked", c.Hark(false), lines, counts),
		cities.Walk("quamina", theirs, lines, counts))
	if err != nil {
		return err
	}
	early, again, checked, peer := r[0], r[1], r[2], r[3]
	s.spread(c.Name, early, again)
	s.compare(c.Name+": quamina ÷ hark", "", AtLeast(1), peer, early)
	s.compare(c.Name+", all of it checked: quamina ÷ hark", "", Goal{}, peer, checked)
	s.count(c.Name+", events a second", "", Goal{}, 1e9/early.Min(), Figure(1e9/checked.Min())+" all of it checked, "+Figure(1e9/peer.Min())+" quamina")
	return nil
}
