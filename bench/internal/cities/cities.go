// Package cities has Hark and quamina find the matches of the events and rules
// of quamina's own benchmark: the lots of San Francisco, a line of JSON each,
// parsing included. The data is in the module of quamina, and stays there.
package cities

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"quamina.net/go/quamina"

	"github.com/harkbus/pubsub/bench/internal/trial"
	"github.com/harkbus/pubsub/jsonevents"
	"github.com/harkbus/pubsub/match"
	"github.com/harkbus/pubsub/query"
)

// A Class is rules of one kind, as quamina's tests have them, and the queries
// that mean the same.
type Class struct {
	Name  string
	File  string
	Rules []Rule
}

// A Rule is one pattern, its query, and how many lines of the file match.
type Rule struct {
	Pattern, Query string
	Matches        int
}

const (
	lots      = "citylots2.json.gz"  // of TestRulerCl2
	olderLots = "citylots.jlines.gz" // of BenchmarkCityLots
)

// Classes are those of TestRulerCl2, with its counts, and of BenchmarkCityLots.
// null is a value to quamina and none here, so that anything-but is NOT =.
var Classes = []Class{
	{"exact", lots, []Rule{
		{`{"properties":{"MAPBLKLOT":["1430022"]}}`, `properties.MAPBLKLOT = '1430022'`, 1},
		{`{"properties":{"MAPBLKLOT":["2607117"]}}`, `properties.MAPBLKLOT = '2607117'`, 101},
		{`{"properties":{"MAPBLKLOT":["2607218"]}}`, `properties.MAPBLKLOT = '2607218'`, 35},
		{`{"properties":{"MAPBLKLOT":["3745012"]}}`, `properties.MAPBLKLOT = '3745012'`, 655},
		{`{"properties":{"MAPBLKLOT":["VACSTWIL"]}}`, `properties.MAPBLKLOT = 'VACSTWIL'`, 1},
	}},
	{"prefix", lots, []Rule{
		{`{"properties":{"STREET":[{"prefix":"AC"}]}}`, `properties.STREET STARTSWITH 'AC'`, 24},
		{`{"properties":{"STREET":[{"prefix":"BL"}]}}`, `properties.STREET STARTSWITH 'BL'`, 442},
		{`{"properties":{"STREET":[{"prefix":"DR"}]}}`, `properties.STREET STARTSWITH 'DR'`, 38},
		{`{"properties":{"STREET":[{"prefix":"FU"}]}}`, `properties.STREET STARTSWITH 'FU'`, 2387},
		{`{"properties":{"STREET":[{"prefix":"RH"}]}}`, `properties.STREET STARTSWITH 'RH'`, 328},
	}},
	{"anything-but", lots, []Rule{
		{`{"properties":{"STREET":[{"anything-but":["FULTON"]}]}}`, `NOT properties.STREET = 'FULTON'`, 211158},
		{`{"properties":{"STREET":[{"anything-but":["MASON"]}]}}`, `NOT properties.STREET = 'MASON'`, 210411},
		{`{"properties":{"ST_TYPE":[{"anything-but":["ST"]}]}}`, `NOT properties.ST_TYPE = 'ST'`, 96682},
		{`{"geometry":{"type":[{"anything-but":["Polygon"]}]}}`, `geometry.type != 'Polygon'`, 120},
		{`{"properties":{"FROM_ST":[{"anything-but":["441"]}]}}`, `NOT properties.FROM_ST = '441'`, 210615},
	}},
	{"wildcard", lots, wildcards("wildcard")},
	{"shellstyle", lots, wildcards("shellstyle")},
	{"case-insensitive", lots, []Rule{
		{`{"properties":{"STREET":[{"equals-ignore-case":"jefferson"}]}}`, `properties.STREET MATCHES '(?i)^jefferson$'`, 131},
		{`{"properties":{"STREET":[{"equals-ignore-case":"bEaCh"}]}}`, `properties.STREET MATCHES '(?i)^bEaCh$'`, 211},
		{`{"properties":{"STREET":[{"equals-ignore-case":"HyDe"}]}}`, `properties.STREET MATCHES '(?i)^HyDe$'`, 1758},
		{`{"properties":{"STREET":[{"equals-ignore-case":"CHESTNUT"}]}}`, `properties.STREET MATCHES '(?i)^CHESTNUT$'`, 825},
		{`{"properties":{"ST_TYPE":[{"equals-ignore-case":"st"}]}}`, `properties.ST_TYPE MATCHES '(?i)^st$'`, 116386},
	}},
	{"several keys", olderLots, []Rule{
		{`{"properties":{"STREET":["CRANLEIGH"]}}`, `properties.STREET = 'CRANLEIGH'`, 7},
		{`{"properties":{"STREET":["17TH"],"ODD_EVEN":["E"]}}`, `properties.STREET = '17TH' AND properties.ODD_EVEN = 'E'`, 836},
		{`{"geometry":{"coordinates":[37.807807921694092]}}`, `geometry.coordinates = 37.807807921694092`, 2},
		{`{"properties":{"MAPBLKLOT":["0011008"],"BLKLOT":["0011008"]},"geometry":{"coordinates":[37.807807921694092]}}`, `properties.MAPBLKLOT = '0011008' AND properties.BLKLOT = '0011008' AND geometry.coordinates = 37.807807921694092`, 1},
	}},
}

func wildcards(kind string) []Rule {
	pattern := func(text string) string { return `{"properties":{"MAPBLKLOT":[{"` + kind + `":"` + text + `"}]}}` }
	return []Rule{
		{pattern("143*"), `properties.MAPBLKLOT STARTSWITH '143'`, 490},
		{pattern("2*0*1*7"), `properties.MAPBLKLOT STARTSWITH '2' AND properties.MAPBLKLOT ENDSWITH '7' AND properties.MAPBLKLOT MATCHES '0.*1'`, 713},
		{pattern("*218"), `properties.MAPBLKLOT ENDSWITH '218'`, 43},
		{pattern("3*5*2"), `properties.MAPBLKLOT STARTSWITH '3' AND properties.MAPBLKLOT CONTAINS '5' AND properties.MAPBLKLOT ENDSWITH '2'`, 2540},
		{pattern("VA*IL"), `properties.MAPBLKLOT STARTSWITH 'VA' AND properties.MAPBLKLOT ENDSWITH 'IL'`, 1},
	}
}

// Each calls f for every line of a file of quamina's, until it fails.
func Each(file string, f func(line []byte) error) error {
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "quamina.net/go/quamina").Output()
	if err != nil {
		return fmt.Errorf("looking for the module of quamina: %w", err)
	}
	in, err := os.Open(filepath.Join(strings.TrimSpace(string(folder)), "testdata", file))
	if err != nil {
		return err
	}
	defer in.Close()
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := f(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// one of so many lines is measured with: too many to stay in the processor's
// cache.
const one = 13

// Sample returns one of every 13 lines of a file, in random order, so that any
// thousand of them are like any other.
func Sample(file string) (lines [][]byte, err error) {
	number := 0
	err = Each(file, func(line []byte) error {
		if number++; number%one == 0 {
			lines = append(lines, append([]byte(nil), line...))
		}
		return nil
	})
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return lines, err
}

// A Matcher returns the numbers of the rules that match a line. They are valid
// until the next call.
type Matcher func(line []byte) ([]int, error)

// Hark returns ours, which reads a line to the last key that a rule asks for, as
// quamina does, or checks all of it.
func (c *Class) Hark(stopEarly bool) Matcher {
	index := match.New[int]()
	f := jsonevents.Flattener{Keys: &jsonevents.Keys{}, StopEarly: stopEarly, Limits: jsonevents.Limits{Values: 1 << 20}}
	for i, rule := range c.Rules {
		q := query.MustParse(rule.Query)
		index.Add(q, i)
		f.Keys.Add(q)
	}
	var found []int
	return func(line []byte) ([]int, error) {
		events, err := f.Flatten(line)
		if err != nil {
			return nil, err
		}
		found = index.Match(events, found[:0])
		return found, nil
	}
}

// Quamina returns quamina's.
func (c *Class) Quamina() (Matcher, error) {
	matcher, err := quamina.New()
	for i, rule := range c.Rules {
		if err == nil {
			err = matcher.AddPattern(i, rule.Pattern)
		}
	}
	var found []int
	return func(line []byte) ([]int, error) {
		matches, err := matcher.MatchesForEvent(line)
		found = found[:0]
		for _, m := range matches {
			found = append(found, m.(int))
		}
		return found, err
	}, err
}

// Walk is a matcher asked about one line after the other; how many rules match
// each is known.
func Walk(name string, m Matcher, lines [][]byte, counts []int) trial.Contender {
	at := 0
	return trial.Contender{Name: name, Sample: func(n int) (float64, error) {
		wrong := -1
		began := time.Now()
		for range n {
			found, err := m(lines[at])
			if err != nil {
				return 0, err
			}
			if len(found) != counts[at] {
				wrong = at
			}
			at = (at + 1) % len(lines)
		}
		cost := float64(time.Since(began)) / float64(n)
		if wrong >= 0 {
			return 0, fmt.Errorf("line %d does not match %d rules", wrong, counts[wrong])
		}
		return cost, nil
	}}
}

// Counts returns how many rules match each line.
func Counts(m Matcher, lines [][]byte) ([]int, error) {
	counts := make([]int, len(lines))
	for i, line := range lines {
		found, err := m(line)
		if err != nil {
			return nil, err
		}
		counts[i] = len(found)
	}
	return counts, nil
}
