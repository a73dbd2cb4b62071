// Package history has the words for what was published: where it is, what is
// missing, and where it is kept.
//
//	window := history.NewWindow(0, 0)
//	remove := bus.Observe(window.Append)
//	for entry, err := range window.Read(after) {
//		if entry.Gap != nil {
//			… // publications from Gap.From to Gap.To are missing
//		}
//		… // entry.Message, and after it the place entry.Cursor
//	}
//
// A [Cursor] is a place in a [History]. Whoever keeps the cursor of the last
// entry that it got comes back with it and gets what follows: every entry once
// and in order, or a [Gap] in place of those that are gone. Nothing is missing
// silently.
//
// [Window] keeps the last publications in memory.
package history
