// Package storetest has the tests that every [store.Engine] must pass, a
// simulated disk that fails on request, and an engine on it.
//
//	func TestEngine(t *testing.T) {
//		storetest.Test(t, func(t testing.TB) storetest.Opener {
//			dir := t.TempDir()
//			return func() (store.Engine, error) { return mine.Open(dir) }
//		})
//	}
//
// What is built on engines is tried on the one in memory, at whatever moment the
// power may go out:
//
//	disk := storetest.NewDisk(seed)
//	engine, err := disk.Open()
//	…
//	disk.CutPower(17)                  // in the middle of the 17th thing from now
//	err = engine.Commit(&b)            // fails with ErrPowerLoss, sooner or later
//	disk.Restart()
//	engine, err = disk.Open()          // what has been synced is there
package storetest
