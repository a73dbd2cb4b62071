package storetest_test

import (
	"testing"

	"github.com/harkbus/pubsub/internal/soak"
	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

func TestEngineInMemory(t *testing.T) {
	storetest.Test(t, func(testing.TB) storetest.Opener {
		d := storetest.NewDisk(1)
		return func() (store.Engine, error) { return open(d) }
	})
}

func open(d *storetest.Disk) (store.Engine, error) {
	e, err := d.Open()
	if err != nil {
		return nil, err // and no Engine that is nil
	}
	return e, nil
}

func TestEngineInMemorySurvivesPowerLoss(t *testing.T) {
	for seed := range soak.Rounds(t, 2) {
		storetest.PowerLoss(t, seed, open)
	}
}

func TestEngineInMemorySurvivesFailedSync(t *testing.T) {
	for seed := range soak.Rounds(t, 2) {
		storetest.FailedSync(t, seed, open)
	}
}

func TestEngineInMemorySurvivesFullDisk(t *testing.T) {
	for seed := range soak.Rounds(t, 2) {
		storetest.FullDisk(t, seed, open)
	}
}
