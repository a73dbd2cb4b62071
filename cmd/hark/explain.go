package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/harkbus/pubsub/query"
)

// How much of the values an explanation shows.
const (
	shownValues = 8
	shownBytes  = 80
)

// explain tells for each condition of a query whether it holds, and through
// which values:
//
//	events.jsonl:3: matches: tm.event = 'Tx' AND transfer.amount > 50
//	  yes  tm.event = 'Tx'       "Tx"
//	  yes  transfer.amount > 50  "80uatom"
func explain(w io.Writer, q namedQuery, events map[string][]string, at place) error {
	matches, _ := q.Matches(events) // which never fails
	var text strings.Builder
	fmt.Fprintf(&text, "%s:%d: %s: %s\n", at.file, at.line.Number, verdict(matches), label(q))
	conditions := q.Conditions()
	width := 0
	for _, c := range conditions {
		width = max(width, len(c.String()))
	}
	for _, c := range conditions {
		holds := "no "
		if c.Holds(events) {
			holds = "yes"
		}
		fmt.Fprintf(&text, "  %s  %-*s  %s\n", holds, width, c.String(), reason(c, events))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func verdict(matches bool) string {
	if matches {
		return "matches"
	}
	return "does not match"
}

func label(q namedQuery) string {
	if q.name != "" {
		return q.name + " = " + q.String()
	}
	return q.String()
}

// reason tells why a condition holds or does not.
func reason(c *query.Condition, events map[string][]string) string {
	values := events[c.Key]
	satisfied := slices.Collect(c.SatisfiedBy(events))
	switch {
	case c.Holds(events) && len(satisfied) > 0:
		return quote(satisfied)
	case c.Holds(events):
		return "there are keys of this type"
	case len(values) == 0:
		return "there is no value"
	case c.Op == query.NotEqual:
		return "among " + quote(values)
	default:
		return "none of " + quote(values)
	}
}

// quote quotes values, each once, shortening those that are long and the list
// if it is.
func quote(values []string) string {
	values = distinct(values)
	var quoted []string
	for _, v := range values[:min(shownValues, len(values))] {
		if len(v) > shownBytes {
			quoted = append(quoted, strconv.Quote(v[:shownBytes])+"…")
			continue
		}
		quoted = append(quoted, strconv.Quote(v))
	}
	if more := len(values) - len(quoted); more > 0 {
		quoted = append(quoted, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(quoted, ", ")
}

// distinct returns the values without repetitions, in the order of their first
// appearance.
func distinct(values []string) []string {
	seen := make(map[string]bool, len(values))
	var first []string
	for _, v := range values {
		if !seen[v] {
			first = append(first, v)
		}
		seen[v] = true
	}
	return first
}
