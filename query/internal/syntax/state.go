package syntax

import "slices"

// A state is what the predicates of the grammar keep during one parse.
type state struct {
	furthest uint32   // the furthest place where something was wanted
	wanted   []string // what could have stood there
	depth    int      // parentheses and NOTs around the place
	maxDepth int
	tooDeep  bool // gave up at furthest

	offsets []uint32 // where each rune begins in the text; empty if rune i is byte i
}

func (s *state) clear(maxDepth int) {
	*s = state{wanted: s.wanted[:0], maxDepth: maxDepth, offsets: s.offsets[:0]}
}

// want notes what could stand at a place and does not match.
func (s *state) want(what string, at uint32) bool {
	if s.tooDeep || at < s.furthest {
		return false
	}
	if at > s.furthest {
		s.furthest, s.wanted = at, s.wanted[:0]
	}
	if !slices.Contains(s.wanted, what) {
		s.wanted = append(s.wanted, what)
	}
	return false
}

// also notes what else could stand at a place and matches.
func (s *state) also(what string, at uint32) bool {
	s.want(what, at)
	return true
}

// enter goes down one level and matches if that is not too deep.
func (s *state) enter(at uint32) bool {
	if s.depth == s.maxDepth && !s.tooDeep {
		s.tooDeep, s.furthest = true, at
	}
	s.depth++
	return !s.tooDeep
}

// leave comes back up and matches.
func (s *state) leave() bool {
	s.depth--
	return true
}
