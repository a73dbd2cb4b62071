package history

// A Reason says why publications are missing.
type Reason string

// The reasons.
const (
	Retention    Reason = "retention"     // the history does not go back that far
	EpochChanged Reason = "epoch_changed" // the history was started again
	Overflow     Reason = "overflow"      // the subscriber was too slow; its policy is to drop
	Corruption   Reason = "corruption"    // the history cannot be read there
	Crash        Reason = "crash"         // delivered, and lost before it was stored
)

// A Gap says that matches may be missing: publications from From up to and
// including To are not delivered, now or later.
type Gap struct {
	From   Cursor `json:"from"`
	To     Cursor `json:"to"`
	Reason Reason `json:"reason"`

	// Count is how many matches are missing; 0 if that is not known. With
	// Overflow the others in the range were delivered or will be.
	Count uint64 `json:"count,omitempty"`
}
