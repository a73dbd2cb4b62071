package redismux

import "strings"

// EscapeGlob returns a pattern that matches exactly the channel s: it puts a
// backslash before each character that has a meaning in a Redis pattern.
func EscapeGlob(s string) string {
	return globEscaper.Replace(s)
}

// Outside of brackets, which stay shut without an opening one, these four are
// all that stringmatchlen of Redis' util.c treats specially.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
