package stream

// Why publications are missing.
const (
	GapRetention    = "retention"     // the history does not go back that far
	GapEpochChanged = "epoch_changed" // the history was started anew
	GapOverflow     = "overflow"      // the subscriber was too slow; its policy is to drop
	GapCorruption   = "corruption"    // the history cannot be read there
)

// A Gap says that matches may be missing: publications from From up to and
// including To are not told again.
type Gap struct {
	From   Cursor `json:"from"`
	To     Cursor `json:"to"`
	Reason string `json:"reason"`

	// Count is how many matches are missing; 0 if that is not known. With
	// GapOverflow the others in the range were delivered or will be.
	Count uint64 `json:"count,omitempty"`
}
