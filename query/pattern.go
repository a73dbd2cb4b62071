package query

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pattern is the regular expression of a MATCHES.
type pattern struct {
	*regexp.Regexp
	instructions int    // that it counts against Limits.Regexp
	literal      string // part of whatever matches, or ""
	folded       string // what matches in any case and nothing else, or ""
}

// MatchString reports whether the expression matches part of a value. Of
// (?i)^text$ that is a comparison, a tenth of the work.
func (p *pattern) MatchString(value string) bool {
	if p.folded != "" {
		return strings.EqualFold(value, p.folded)
	}
	return p.Regexp.MatchString(value)
}

// compilePattern compiles a regular expression that needs at most so many
// instructions; if it needs more it returns how many and no pattern.
func compilePattern(text string, most int) (p *pattern, needs float64, err error) {
	if needs = parsing(text); needs > float64(most) {
		return nil, needs, nil
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	const beginAndEnd = 2
	if needs = max(needs, instructions(parsed)+beginAndEnd); needs > float64(most) {
		return nil, needs, nil
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, 0, err
	}
	return &pattern{compiled, int(needs), literal(parsed), folded(parsed)}, needs, nil
}

// parsing returns what a regular expression counts at least, by what it costs
// the parser of package regexp alone: that of \pL takes 5 KiB, and each range
// with a wide end under (?i) takes 2 ms.
func parsing(text string) (cost float64) {
	const unicodeClass, wideRange = 8, 32
	folds := folds(text)
	for i := 0; i+1 < len(text); i++ {
		next := text[i+1]
		switch {
		case text[i] == '\\':
			if next == 'p' || next == 'P' {
				cost += unicodeClass
			}
			i++ // it is no backslash or hyphen that counts
		case text[i] == '-' && folds && (next == '\\' || next >= utf8.RuneSelf):
			cost += wideRange
		}
	}
	return cost
}

// folds reports whether a regular expression sets the flag i somewhere.
func folds(text string) bool {
	for {
		_, rest, found := strings.Cut(text, "(?")
		if !found {
			return false
		}
		flags := rest[:len(rest)-len(strings.TrimLeft(rest, "imsU-"))]
		if strings.Contains(flags, "i") {
			return true
		}
		text = rest
	}
}

// instructions returns how many instructions a regular expression compiles to
// at most, and more for those that take longer than others: see literalCost and
// classCost. It looks at the parsed form, where a{1000} is still one node: a
// short text like (a{1000}){30} can ask for more than the memory there is.
func instructions(re *syntax.Regexp) float64 {
	subs := 0.0
	for _, sub := range re.Sub {
		subs += instructions(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return float64(max(literalCost(re), 1))
	case syntax.OpCharClass:
		return float64(classCost(re.Rune))
	case syntax.OpRepeat: // x{2,5} is xx(x(x(x)?)?)?
		times, choices := re.Max, re.Max-re.Min
		if re.Max < 0 { // x{2,} is xx+, or x(x+)? if x may be empty
			times, choices = max(re.Min, 1), 2
		}
		return max(subs*float64(times)+float64(choices), 1)
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpBeginLine, syntax.OpEndLine:
		return 2 // they look at the characters on both sides
	case syntax.OpStar:
		return subs + 2
	case syntax.OpCapture:
		return subs + 2
	case syntax.OpAlternate:
		return subs + float64(len(re.Sub)) - 1
	case syntax.OpConcat:
		return max(subs, 1)
	default:
		return subs + 1
	}
}

// literalCost returns what the characters of a literal count. One that is
// matched in any case is compared with all its cases: of ASCII those are in a
// table, of others they are searched for, again for each byte of a value, which
// takes six times as long as a comparison.
func literalCost(re *syntax.Regexp) (cost int) {
	const tableOfCases, threeCases, searchForCases = 2, 3, 6
	for _, r := range re.Rune {
		switch {
		case re.Flags&syntax.FoldCase == 0 || unicode.SimpleFold(r) == r:
			cost++
		case strings.ContainsRune("kKsS", r): // K is also U+212A, s U+017F
			cost += threeCases
		case r < utf8.RuneSelf:
			cost += tableOfCases
		default:
			cost += searchForCases
		}
	}
	return cost
}

// classCost returns what a class of characters counts, which has a begin and an
// end for each range. Each is compared, or searched for among many; and what is
// large takes memory.
func classCost(ends []rune) int {
	const fewRanges, endsPerInstruction = 2, 16 // 64 bytes
	cost := 1 + len(ends)/endsPerInstruction
	if len(ends) > 2*fewRanges {
		cost++
	}
	return cost
}

// literal returns a text that is part of whatever the regular expression
// matches, the longest that is easy to find, or "".
//
//	^/v1/[a-z]+/transfer$   →   /transfer
func literal(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		s := string(re.Rune)
		if re.Flags&syntax.FoldCase != 0 || strings.ContainsRune(s, utf8.RuneError) {
			return "" // U+FFFD matches any invalid byte
		}
		return s
	case syntax.OpCapture, syntax.OpPlus:
		return literal(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literal(re.Sub[0])
		}
	case syntax.OpConcat:
		longest := ""
		for _, sub := range re.Sub {
			if s := literal(sub); len(s) > len(longest) {
				longest = s
			}
		}
		return longest
	}
	return ""
}

// folded returns the text that a regular expression matches in any case, from
// the beginning of a value to its end, or "" if it is not of that form.
func folded(re *syntax.Regexp) string {
	if re.Op != syntax.OpConcat || len(re.Sub) != 3 || re.Sub[0].Op != syntax.OpBeginText || re.Sub[2].Op != syntax.OpEndText {
		return ""
	}
	text := re.Sub[1]
	if text.Op != syntax.OpLiteral || text.Flags&syntax.FoldCase == 0 {
		return ""
	}
	return string(text.Rune)
}
