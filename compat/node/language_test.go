package node

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	cmtoriginal "github.com/cometbft/cometbft/libs/pubsub/query"
	tmoriginal "github.com/tendermint/tendermint/libs/pubsub/query"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub/compat/cmtquery"
	"github.com/harkbus/pubsub/compat/tmquery"
	"github.com/harkbus/pubsub/internal/soak"
)

// The random queries of each round.
const queries = 20_000

func TestTendermintsQueriesMeanWhatTheyMeant(t *testing.T) {
	for seed := range soak.Rounds(t, 1) {
		var memory runtime.MemStats
		if runtime.ReadMemStats(&memory); memory.HeapInuse > 1<<30 {
			t.Logf("Tendermint's Matches keeps its parsers: %d MiB; no more of it in this process", memory.HeapInuse>>20)
			break
		}
		c := counts{}
		random := rand.New(rand.NewPCG(seed, 1))
		for range queries {
			text := inAnyCase(random, randomQuery(random))
			theirs, theirErr := tmoriginal.New(text)
			ours, err := tmquery.New(text)
			if theirErr == nil && err != nil && isHealed(text) {
				c["refused here alone"]++
				continue
			}
			require.Equal(t, theirErr == nil, err == nil, "%q: %v, %v", text, theirErr, err)
			if err != nil {
				c["refused"]++
				continue
			}
			require.Equal(t, theirs.String(), ours.String())
			sameConditions(t, text, theirs, ours)
			for range 4 {
				events := randomEvents(random)
				want, wrong := theirs.Matches(events)
				got, err := ours.Matches(events)
				require.NoError(t, err)
				switch {
				case wrong != nil:
					c["failed there"]++ // and nobody got the message
				case got == want:
					c[fmt.Sprint(want)]++
				default:
					require.True(t, tendermintIsOdd(text, events), "%q on %v: %v there, %v here", text, events, want, got)
					c["healed"]++
				}
			}
		}
		c.require(t, "true", "false", "refused", "refused here alone", "healed", "failed there")
	}
}

func sameConditions(t *testing.T, text string, theirs *tmoriginal.Query, ours *tmquery.Query) {
	want, wrong := theirs.Conditions()
	got, err := ours.Conditions()
	require.Equal(t, wrong == nil, err == nil, text)
	require.Len(t, got, len(want), text)
	for i := range want {
		require.Equal(t, want[i].CompositeKey, got[i].CompositeKey, text)
		require.EqualValues(t, want[i].Op, got[i].Op, text)
		require.Equal(t, want[i].Operand, got[i].Operand, text)
	}
}

func TestCometBFTsQueriesMeanWhatTheyMeant(t *testing.T) {
	for seed := range soak.Rounds(t, 1) {
		c := counts{}
		random := rand.New(rand.NewPCG(seed, 2))
		for range queries {
			text := inAnyCase(random, randomQuery(random))
			theirs, theirErr := cmtoriginal.New(text)
			ours, err := cmtquery.New(text)
			if theirErr == nil && err != nil && strings.Count(text, "'")%2 == 1 {
				c["refused here alone"]++
				continue
			}
			require.Equal(t, theirErr == nil, err == nil, "%q: %v, %v", text, theirErr, err)
			if err != nil {
				c["refused"]++
				continue
			}
			require.Equal(t, theirs.String(), ours.String(), text)
			sameSyntax(t, text, theirs, ours)
			for range 4 {
				events := randomEvents(random)
				want, err := theirs.Matches(events)
				require.NoError(t, err)
				got, err := ours.Matches(events)
				require.NoError(t, err)
				if got == want {
					c[fmt.Sprint(want)]++
				} else {
					require.True(t, cometbftIsOdd(text, events), "%q on %v: %v there, %v here", text, events, want, got)
					c["healed"]++
				}
			}
		}
		c.require(t, "true", "false", "refused", "refused here alone", "healed")
	}
}

func sameSyntax(t *testing.T, text string, theirs *cmtoriginal.Query, ours *cmtquery.Query) {
	want, got := theirs.Syntax(), ours.Syntax()
	require.Len(t, got, len(want), text)
	for i := range want {
		require.Equal(t, want[i].String(), got[i].String(), text)
		require.Equal(t, want[i].Tag, got[i].Tag, text)
		require.EqualValues(t, want[i].Op, got[i].Op, text)
		require.Equal(t, want[i].Arg == nil, got[i].Arg == nil, text)
		if a, b := want[i].Arg, got[i].Arg; a != nil {
			require.EqualValues(t, a.Type, b.Type, text)
			require.Equal(t, a.Value(), b.Value(), text)
			require.Equal(t, a.Time(), b.Time(), text)
			require.Equal(t, a.Number() == nil, b.Number() == nil, text)
			if a.Number() != nil {
				require.Zero(t, a.Number().Cmp(b.Number()), text)
			}
		}
	}
}

// counts tells how often what came up, so that no class is missed.
type counts map[string]int

func (c counts) require(t *testing.T, classes ...string) {
	t.Log(c)
	for _, class := range classes {
		require.NotZero(t, c[class], class)
	}
}

// isHealed tells whether Tendermint takes a text that is refused here: what
// doc.go of tmquery lists.
func isHealed(text string) bool {
	return regexp.MustCompile(`[!,]|-(02-3[01]|00-\d\d|1[3-9]-\d\d|\d\d-00|\d\d-3[2-9])|T(2[4-9]|[3-9]\d):`).MatchString(text)
}

// tendermintIsOdd tells whether Tendermint may give a query another meaning:
// what doc.go of tmquery lists.
func tendermintIsOdd(text string, events map[string][]string) bool {
	numbers := regexp.MustCompile(`[=<>] *[0-9]`).MatchString(text)
	for _, values := range events {
		for _, v := range values {
			if numbers && !regexp.MustCompile(`^[0-9]+$`).MatchString(v) {
				return true // a number elsewhere, a sign, or decimals
			}
		}
	}
	for _, exists := range regexp.MustCompile(`(?i)(\S+) +EXISTS`).FindAllStringSubmatch(text, -1) {
		for key := range events {
			if strings.HasPrefix(key, exists[1]) && key != exists[1] {
				return true // types
			}
		}
	}
	return hasEmpty(events)
}

// cometbftIsOdd tells whether CometBFT may give a query another meaning: what
// docs/migration.md lists.
func cometbftIsOdd(text string, events map[string][]string) bool {
	empty := strings.Contains(text, "''") || hasEmpty(events)
	dotless := regexp.MustCompile(`(^|\s|\d|')[^.'\s]+\s*(=|<|>|CONTAINS|EXISTS)`).MatchString(text)
	negative := false
	for _, values := range events {
		negative = negative || slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "-") })
	}
	return dotless || negative || strings.Contains(text, "DATE") || strings.Contains(text, "TIME") || empty
}

func hasEmpty(events map[string][]string) bool {
	for _, values := range events {
		if len(values) == 0 {
			return true
		}
	}
	return false
}

var (
	keys     = []string{"a.b", "a.b", "a.b", "a.c", "d.e.f", "height", "a", "d", "d.e", "a.bc", "AND", "a-b.c", "a!b", "TIME", "or"}
	opTexts  = []string{"=", "=", "<", "<=", ">", ">=", " CONTAINS ", " EXISTS", " EXISTS", "!=", " IN ", " exists", "=="}
	operands = []string{
		"5", "5", "0", "05", "5.", "5.5", "6", "-5", "9223372036854775807", "9223372036854775808", "'x'", "'5'", "''", "'x y'", "'it''s'", "x", "(5)",
		"DATE 2020-02-29", "DATE 2020-02-31", "DATE 1899-12-31", "DATE  2020-02-01", "DATE 20-02-01", "DATE 2999-12-31",
		"TIME 2020-02-29T00:00:00Z", "TIME 2020-02-29T01:00:00+01:00", "TIME 2020-02-29T25:00:00Z", "TIME 2020-02-29T00:00:00.5Z", "TIME2020-02-29T00:00:00Z",
	}
	joints = []string{" AND ", " AND ", " AND ", "AND", "  AND  ", " and ", " OR ", " AND NOT ", "\tAND\n", " "}
	values = []string{"5", "5", "6", "4", "0", "5.5", "5.9", "-5", "-7", "5uatom", "uatom5", "x", "", "x y", "2020-02-29", "2020-02-29T00:00:00Z", "2020-03-01", "9223372036854775808", "1e3"}
)

// randomQuery returns a text that is often a query of both languages.
func randomQuery(random *rand.Rand) string {
	one := func(all []string) string {
		if random.IntN(3) > 0 {
			return all[random.IntN(2+len(all)/2)] // the first ones are ordinary
		}
		return all[random.IntN(len(all))]
	}
	var b strings.Builder
	for i := range 1 + random.IntN(3) {
		if i > 0 {
			b.WriteString(one(joints))
		}
		b.WriteString(one(keys))
		op := one(opTexts)
		blank := strings.Repeat(" ", random.IntN(2))
		b.WriteString(blank + op + blank)
		if !strings.Contains(op, "EXISTS") {
			b.WriteString(one(operands))
		}
	}
	switch random.IntN(60) {
	case 0:
		b.WriteString(" '")
	case 1:
		b.WriteString(" ")
	case 2:
		return "(" + b.String() + ")"
	}
	return b.String()
}

var words = regexp.MustCompile(`AND|NOT|OR|IN|CONTAINS|EXISTS|DATE|TIME`)

// inAnyCase gives some words of a query another case.
func inAnyCase(random *rand.Rand, text string) string {
	if random.IntN(3) > 0 {
		return text
	}
	return words.ReplaceAllStringFunc(text, func(word string) string {
		letters := []byte(word)
		for i := range letters {
			letters[i] |= byte(random.IntN(2)) << 5
		}
		return string(letters)
	})
}

func randomEvents(random *rand.Rand) map[string][]string {
	events := map[string][]string{}
	for range random.IntN(5) {
		key := keys[random.IntN(10)]
		for range random.IntN(3) {
			events[key] = append(events[key], values[random.IntN(len(values))])
		}
		if random.IntN(20) == 0 {
			events[key] = nil
		}
	}
	return events
}
