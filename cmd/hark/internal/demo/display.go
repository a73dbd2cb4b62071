package demo

// A Display shows a run.
type Display interface {
	Show(View) error  // as it is now; ten times a second
	Close(View) error // as it was in the end
}
