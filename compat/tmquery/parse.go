package tmquery

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A term is a condition as it was written.
type term struct {
	key  string
	op   Operator
	kind kind
	text string // of the operand, without quotes and DATE or TIME
}

// A kind is the kind of an operand.
type kind uint8

const (
	none kind = iota
	text
	number
	date
	instant
)

// operand returns the operand as Conditions has it.
func (t term) operand() (any, error) {
	switch t.kind {
	case text:
		return t.text, nil
	case number:
		if strings.Contains(t.text, ".") {
			return strconv.ParseFloat(t.text, 64)
		}
		return strconv.ParseInt(t.text, 10, 64)
	case date:
		return time.Parse(DateLayout, t.text)
	case instant:
		return time.Parse(TimeLayout, t.text)
	default:
		return nil, nil
	}
}

// A parser reads this grammar, in which a blank is a space and nothing else,
// and words are in any case:
//
//	query     = condition { " "+ "AND" " "+ condition }
//	condition = key " "* ( order " "* ordered | "=" " "* ( ordered | quoted ) | "CONTAINS" " "* quoted | "EXISTS" )
//	order     = "<=" | ">=" | "<" | ">"
//	ordered   = number | "TIME " time | "DATE " date
type parser struct {
	text string
	at   int
}

// What the grammar has no rules for. A token is as long as it can be and is
// never tried shorter.
var (
	blanks  = regexp.MustCompile(`^ *`)
	joint   = regexp.MustCompile(`^ +(?i:AND) +`)
	keys    = regexp.MustCompile(`^[^ \t\n\r\\()"'=><]+`)
	ops     = regexp.MustCompile(`^(?:<=|>=|<|>|=|(?i:CONTAINS|EXISTS))`)
	quoted  = regexp.MustCompile(`^'[^"']*'`)
	numbers = regexp.MustCompile(`^(?:0|[1-9][0-9]*(?:\.[0-9]*)?)`)
	dates   = regexp.MustCompile(`^(?i:DATE) [12][0-9]{3}-[01][0-9]-[0-3][0-9]`)
	times   = regexp.MustCompile(`^(?i:TIME) [12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[-+][0-9]{2}:[0-9]{2}|Z)`)
)

var operators = map[string]Operator{
	"<=": OpLessEqual, ">=": OpGreaterEqual, "<": OpLess, ">": OpGreater,
	"=": OpEqual, "CONTAINS": OpContains, "EXISTS": OpExists,
}

func parse(s string) (terms []term, err error) {
	p := &parser{text: s}
	for {
		t, err := p.condition()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
		if p.at == len(s) {
			return terms, nil
		}
		if _, ok := p.take(joint); !ok {
			return nil, p.expected("AND between blanks")
		}
	}
}

// take reads what stands next, if it is of the form.
func (p *parser) take(form *regexp.Regexp) (token string, ok bool) {
	at := form.FindStringIndex(p.text[p.at:])
	if at == nil {
		return "", false
	}
	token = p.text[p.at : p.at+at[1]]
	p.at += at[1]
	return token, true
}

func (p *parser) expected(what string) error {
	return fmt.Errorf("tmquery: %q has no %s at byte %d", p.text, what, p.at)
}

func (p *parser) condition() (t term, err error) {
	var ok bool
	if t.key, ok = p.take(keys); !ok {
		return t, p.expected("attribute")
	}
	p.take(blanks)
	op, ok := p.take(ops)
	if !ok {
		return t, p.expected("operator")
	}
	t.op = operators[strings.ToUpper(op)]
	if t.op == OpExists {
		return t, nil
	}
	p.take(blanks)
	if !p.operand(&t) {
		return t, p.expected("operand of " + op)
	}
	return t, nil
}

// operand reads the operand of t.
func (p *parser) operand(t *term) bool {
	if t.op == OpEqual || t.op == OpContains {
		if s, ok := p.take(quoted); ok {
			t.kind, t.text = text, s[1:len(s)-1]
			return true
		}
	}
	if t.op == OpContains {
		return false
	}
	if s, ok := p.take(numbers); ok {
		t.kind, t.text = number, s
		return true
	}
	if s, ok := p.take(dates); ok {
		t.kind, t.text = date, s[len("DATE "):]
		return true
	}
	if s, ok := p.take(times); ok {
		t.kind, t.text = instant, s[len("TIME "):]
		return true
	}
	return false
}
