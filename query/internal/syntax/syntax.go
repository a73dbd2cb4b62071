// Package syntax divides the text of a query into tokens.
package syntax

import (
	"math"
	"slices"
)

//go:generate go run ./generate ../../grammar.peg parser.go

// A Token is a rule of the grammar that matched text[Begin:End].
type Token struct {
	Rule       Rule
	Begin, End int
}

// A Rule is a rule of the grammar.
type Rule = pegRule

// The rules that leave tokens.
const (
	Or             = ruleOr
	And            = ruleAnd
	Not            = ruleNot
	Condition      = ruleCondition
	Key            = ruleKey
	LessOrEqual    = ruleLessOrEqual
	GreaterOrEqual = ruleGreaterOrEqual
	NotEqual       = ruleNotEqual
	Less           = ruleLess
	Greater        = ruleGreater
	Equal          = ruleEqual
	Contains       = ruleContains
	StartsWith     = ruleStartsWith
	EndsWith       = ruleEndsWith
	Matches        = ruleMatches
	In             = ruleIn
	Exists         = ruleExists
	String         = ruleString
	Number         = ruleNumber
	Date           = ruleDate
	Time           = ruleTime
	Text           = rulePegText // the date of a Date, the time of a Time
)

// A Failure tells why a text is no query.
type Failure struct {
	Offset   int      // of the place, in bytes
	Expected []string // what could stand there
	TooDeep  bool     // a level below the deepest one begins there
}

// MaxText is the length in bytes of the longest text that can be parsed.
const MaxText = math.MaxUint32 / 4

// A Parser parses one text after the other and reuses its memory. It belongs
// to one goroutine at a time.
type Parser struct {
	parser
}

// New returns a parser.
func New() *Parser {
	p := new(Parser)
	if err := p.Init(); err != nil {
		panic(err) // only an option could fail, and there is none
	}
	return p
}

// Parse divides a text of valid UTF-8, or tells why it cannot. It takes time
// linear in the length of the text and stack linear in maxDepth, the deepest
// allowed nesting of parentheses and NOTs.
func (p *Parser) Parse(text string, maxDepth int) *Failure {
	p.Buffer = text
	p.state.clear(maxDepth)
	p.Reset()
	if p.parser.Parse() == nil {
		return nil
	}
	return &Failure{
		Offset:   p.offset(p.furthest),
		Expected: slices.Clone(p.wanted),
		TooDeep:  p.tooDeep,
	}
}

// Tokens yields the tokens of the text in the order in which their rules
// matched: children before their parents.
func (p *Parser) Tokens(yield func(Token) bool) {
	for _, t := range p.tree {
		if !yield(Token{t.pegRule, p.offset(t.begin), p.offset(t.end)}) {
			return
		}
	}
}

// fill appends the runes of the text and the symbol that ends it, and notes
// where they begin unless that is plain: rune i at byte i.
func (p *parser) fill(runes []rune) []rune {
	p.offsets = p.offsets[:0]
	for _, r := range p.Buffer {
		runes = append(runes, r)
	}
	if len(runes) < len(p.Buffer) {
		for i := range p.Buffer {
			p.offsets = append(p.offsets, uint32(i))
		}
		p.offsets = append(p.offsets, uint32(len(p.Buffer)))
	}
	return append(runes, endSymbol)
}

// offset returns where the rune at a position begins in the text.
func (p *parser) offset(position uint32) int {
	if len(p.offsets) == 0 {
		return int(position)
	}
	return int(p.offsets[position])
}

// Clear lets go of the text.
func (p *Parser) Clear() { p.Buffer = "" }

// Size returns about how many bytes the parser holds.
func (p *Parser) Size() int {
	return 4*cap(p.buffer) + 4*cap(p.offsets) + 12*cap(p.tree)
}
