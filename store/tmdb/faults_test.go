//go:build !race

// Where a compaction fails, goleveldb sends to a channel that may have been closed,
// and recovers from the panic: the race detector reports that.

package tmdb

import (
	"testing"

	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/store/storetest"
)

func TestGoleveldbSurvivesPowerLoss(t *testing.T) {
	for seed := range soak.Rounds(t, 2) {
		storetest.PowerLoss(t, seed, openOnDisk)
	}
}

func TestGoleveldbSurvivesFailedSync(t *testing.T) {
	for seed := range soak.Rounds(t, 2) {
		storetest.FailedSync(t, seed, openOnDisk)
	}
}

func TestGoleveldbSurvivesFullDisk(t *testing.T) {
	for seed := range soak.Rounds(t, 1) {
		storetest.FullDisk(t, seed, openOnDisk)
	}
}
