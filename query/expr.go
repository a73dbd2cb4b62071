package query

// An Expr is a node of the tree of a query: [AllOf], [AnyOf], [Not] or
// [*Condition]. Trees are shared between queries and must not be modified.
type Expr interface {
	// Holds reports whether the expression holds for the events of one
	// publication. It takes no memory and never panics.
	Holds(events map[string][]string) bool

	// String returns the canonical text of the node.
	String() string

	// appendText appends the canonical text, in parentheses where the node
	// stands below one that binds tighter than it does.
	appendText(b []byte, above binding) []byte

	// glance is Holds for events that take little to try; else it is open.
	glance(events map[string][]string) answer
}

// AllOf holds if all its terms hold. It has two terms or more, and none of
// them is an AllOf: a AND (b AND c) is one AllOf of three.
type AllOf []Expr

// AnyOf holds if one of its terms holds. It has two terms or more, and none
// of them is an AnyOf.
type AnyOf []Expr

// Not holds if its term does not.
type Not struct{ Term Expr }

// Holds implements [Expr]. Looking up a key is most of the work, so conditions
// on one key that stand side by side, as those of a range do, share it.
func (e AllOf) Holds(events map[string][]string) bool {
	var key string // no condition has an empty one
	var values []string
	for _, term := range e {
		c, ok := term.(*Condition)
		if !ok {
			if !term.Holds(events) {
				return false
			}
			continue
		}
		if c.Key != key {
			key, values = c.Key, events[c.Key]
		}
		if !c.holds(values, events) {
			return false
		}
	}
	return true
}

// Holds implements [Expr].
func (e AnyOf) Holds(events map[string][]string) bool {
	for _, term := range e {
		if term.Holds(events) {
			return true
		}
	}
	return false
}

// Holds implements [Expr].
func (e Not) Holds(events map[string][]string) bool { return !e.Term.Holds(events) }

// String implements [Expr].
func (e AllOf) String() string { return string(e.appendText(nil, bindsLeast)) }

// String implements [Expr].
func (e AnyOf) String() string { return string(e.appendText(nil, bindsLeast)) }

// String implements [Expr].
func (e Not) String() string { return string(e.appendText(nil, bindsLeast)) }

// A binding is how tightly a node holds its terms together.
type binding uint8

const (
	bindsLeast binding = iota // AnyOf, and what stands alone
	bindsAll                  // AllOf
	bindsNot                  // Not
)

func (e AllOf) appendText(b []byte, above binding) []byte {
	return appendTerms(b, e, " AND ", bindsAll, above)
}

func (e AnyOf) appendText(b []byte, above binding) []byte {
	return appendTerms(b, e, " OR ", bindsLeast, above)
}

func appendTerms(b []byte, terms []Expr, word string, binds, above binding) []byte {
	if above > binds {
		b = append(b, '(')
	}
	for i, term := range terms {
		if i > 0 {
			b = append(b, word...)
		}
		b = term.appendText(b, binds)
	}
	if above > binds {
		b = append(b, ')')
	}
	return b
}

func (e Not) appendText(b []byte, _ binding) []byte {
	return e.Term.appendText(append(b, "NOT "...), bindsNot)
}
