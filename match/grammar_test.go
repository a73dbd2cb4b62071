package match

import (
	"fmt"
	"strings"
)

// A chooser picks a number from 0 to n-1: by chance, or by the bytes of a
// fuzzer.
type chooser func(n int) int

func pick[T any](choose chooser, from ...T) T { return from[choose(len(from))] }

// The vocabulary is small, so that queries and events meet, and full of what is
// hard: ties between float64 and exact, instants nanoseconds apart, suffixes,
// texts with beginnings in common, empty texts.
var (
	testKeys  = []string{"a", "b", "c", "a.x", "a.y", "t.a.x", "tm.event"}
	testTexts = []string{
		"", "x", "y", "xy", "xyx", "abc", "abcd", "abcde", "abcdefg", "abcdefgh", "abcdefghi", "xabcdefghix",
		"cosmos1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "cosmos1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqz",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "it's", "\x00\xff",
	}
	testNumbers = []string{
		"0", "1", "2", "5", "5.0", "7", "10", "-1", "-7.5", "0.1", "0.10000000000000001", "0.10000000000000000001",
		"9007199254740992", "9007199254740993", "9007199254740993.5", "1" + strings.Repeat("0", 400), "1" + strings.Repeat("0", 399) + "1",
		"-1" + strings.Repeat("0", 400), "00012",
	}
	testInstants = []string{
		"DATE 2013-05-03", "DATE 2013-05-04", "TIME 2013-05-03T00:00:00Z", "TIME 2013-05-03T14:45:00Z",
		"TIME 2013-05-03T14:45:00.000000001Z", "TIME 2013-05-03T14:45:00.000000002Z", "TIME 2013-05-03T16:45:00+02:00",
		"DATE 0001-01-01", "DATE 9999-12-31",
	}
	testPatterns = []string{"^a", "abc|xy", "(?i)ABC", "b+c", "x$", "", ".*", "(abcd){2}", "cosmos1q+z", "[xy]abc", "\\x{FFFD}"}
)

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// validText is a text that may stand in a query.
func validText(choose chooser) string {
	return strings.ToValidUTF8(pick(choose, testTexts...), "")
}

func randomOperand(choose chooser) string {
	switch choose(5) {
	case 0, 1:
		return quoted(validText(choose))
	case 2, 3:
		return strings.TrimPrefix(pick(choose, testNumbers...), "0001")
	default:
		return pick(choose, testInstants...)
	}
}

func randomCondition(choose chooser) string {
	key := pick(choose, testKeys...)
	switch choose(9) {
	case 0, 1, 2:
		return fmt.Sprintf("%s = %s", key, randomOperand(choose))
	case 3:
		return fmt.Sprintf("%s %s %s", key, pick(choose, "<", "<=", ">", ">=", "!="), randomOperand(choose))
	case 4:
		low, high := pick(choose, testNumbers...), pick(choose, testNumbers...)
		return fmt.Sprintf("%s %s %s AND %s %s %s", key, pick(choose, ">", ">="), low, pick(choose, key, "b"), pick(choose, "<", "<="), high)
	case 5:
		return fmt.Sprintf("%s %s %s", key, pick(choose, "CONTAINS", "STARTSWITH", "ENDSWITH"), quoted(validText(choose)))
	case 6:
		return fmt.Sprintf("%s MATCHES %s", key, quoted(pick(choose, testPatterns...)))
	case 7:
		operands := make([]string, 1+choose(5))
		for i := range operands {
			operands[i] = randomOperand(choose)
		}
		return fmt.Sprintf("%s IN (%s)", key, strings.Join(operands, ", "))
	default:
		return pick(choose, key, "t", "t.a") + " EXISTS"
	}
}

// randomQuery returns the text of a query of the whole grammar.
func randomQuery(choose chooser, depth int) string {
	if depth == 0 {
		return randomCondition(choose)
	}
	switch choose(6) {
	case 0:
		return "NOT (" + randomQuery(choose, depth-1) + ")"
	case 1, 2:
		return "(" + randomQuery(choose, depth-1) + ") AND " + randomQuery(choose, depth-1)
	case 3:
		return "(" + randomQuery(choose, depth-1) + ") OR (" + randomQuery(choose, depth-1) + ")"
	case 4: // a hot condition
		return pick(choose, "tm.event = 'x' AND ", "a CONTAINS 'abcd' AND ", "b = 5 AND ", "c EXISTS AND ") + "(" + randomQuery(choose, depth-1) + ")"
	default:
		return randomCondition(choose)
	}
}

func randomValue(choose chooser) string {
	switch choose(7) {
	case 0, 1, 2:
		return pick(choose, testTexts...)
	case 3, 4:
		return pick(choose, testNumbers...) + pick(choose, "", "", "stake", ".")
	case 5:
		_, text, _ := strings.Cut(pick(choose, testInstants...), " ")
		return text
	default:
		return pick(choose, testTexts...) + pick(choose, testTexts...)
	}
}

// randomEvents returns events with several values, missing keys and empty
// lists.
func randomEvents(choose chooser) map[string][]string {
	events := make(map[string][]string)
	for range choose(8) {
		key := pick(choose, append(testKeys, "t.b", "other", ".")...)
		events[key] = nil
		for range choose(4) {
			events[key] = append(events[key], randomValue(choose))
		}
	}
	return events
}
