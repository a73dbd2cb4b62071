package query

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// compilePattern compiles the regular expression of a MATCHES, unless its
// program would have more than some number of instructions.
func compilePattern(text string, most int) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if instructions(parsed) > float64(most) {
		return nil, fmt.Errorf("it needs more than %d instructions", most)
	}
	return regexp.Compile(text)
}

// instructions returns about how many instructions a regular expression
// compiles to. It looks at the parsed form, where a{1000} is still one node:
// a short text like (a{1000}){30} can ask for more than the memory there is.
func instructions(re *syntax.Regexp) float64 {
	subs := 0.0
	for _, sub := range re.Sub {
		subs += instructions(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return float64(len(re.Rune))
	case syntax.OpRepeat: // x{2,5} is xx(x(x(x)?)?)?
		times, choices := re.Max, re.Max-re.Min
		if re.Max < 0 { // x{2,} is xx+
			times, choices = max(re.Min, 1), 1
		}
		return subs*float64(times) + float64(choices)
	case syntax.OpCapture:
		return subs + 2
	case syntax.OpAlternate:
		return subs + float64(len(re.Sub)) - 1
	default:
		return subs + 1
	}
}
