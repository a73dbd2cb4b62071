package bars

import (
	"github.com/harkbus/pubsub/bench/internal/language"
	"github.com/harkbus/pubsub/bench/internal/trial"
)

func languageExperiments() []Experiment {
	return []Experiment{{Name: "language", Measure: measureLanguage}}
}

// measureLanguage compares parsing and matching of single queries.
func measureLanguage(s *Session) error {
	for _, c := range language.Contests() {
		r, err := trial.Run(s.Plan, language.Repeated("hark", c.Ours), language.Repeated("CometBFT", c.Theirs))
		if err != nil {
			return err
		}
		goal := AtLeast(20)
		if c.Parse {
			goal = AtLeast(1)
		}
		s.compare(c.Name+": CometBFT ÷ hark", "", goal, r[1], r[0])
		if c.Parse {
			ours, _ := language.Memory(c.Ours)
			theirs, _ := language.Memory(c.Theirs)
			s.count(c.Name+", bytes: CometBFT ÷ hark", "", AtLeast(3), theirs/ours, Figure(theirs)+" ÷ "+Figure(ours)+" bytes")
		}
	}
	return nil
}
