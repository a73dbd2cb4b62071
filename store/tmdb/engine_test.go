package tmdb

import (
	"testing"

	"github.com/stretchr/testify/require"
	dbm "github.com/tendermint/tm-db"

	"github.com/harkbus/pubsub/store"
	"github.com/harkbus/pubsub/store/storetest"
)

// small is for tests: a ballast that is quickly written.
var small = Options{Ballast: 4 << 10}

func mustOpen(t *testing.T, dir string) *Engine {
	t.Helper()
	e, err := small.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestDirectory(t *testing.T) {
	storetest.Test(t, func(t testing.TB) storetest.Opener {
		dir := t.TempDir()
		return func() (store.Engine, error) {
			e, err := small.Open(dir)
			if err != nil {
				return nil, err
			}
			return e, nil
		}
	})
}

// The databases of a node, with neighbours on both sides of the part that is used.
func TestPartOfADatabase(t *testing.T) {
	for name, newDB := range map[string]func(testing.TB) dbm.DB{
		"goleveldb": func(t testing.TB) dbm.DB {
			db, err := dbm.NewGoLevelDB("node", t.TempDir())
			require.NoError(t, err)
			t.Cleanup(func() { _ = db.Close() })
			return db
		},
		"memdb":                   func(testing.TB) dbm.DB { return dbm.NewMemDB() },
		"forgetting empty values": func(testing.TB) dbm.DB { return forgetful{dbm.NewMemDB()} },
	} {
		prefixes := []string{"hark/", "", "\xff\xff", "a\xff"}
		if name == "goleveldb" {
			prefixes = prefixes[:1] // it is slower
		}
		for _, prefix := range prefixes {
			t.Run(name+" "+prefix, func(t *testing.T) {
				storetest.Test(t, func(t testing.TB) storetest.Opener {
					db := newDB(t)
					if prefix != "" {
						for _, key := range []string{"A", "\xfe", "\xff", "a", "b", "hark", "hark0", prefix[:len(prefix)-1]} {
							require.NoError(t, db.SetSync([]byte(key), []byte("a neighbour's")))
						}
					}
					return func() (store.Engine, error) {
						e, err := Use(db, prefix)
						if err != nil {
							return nil, err
						}
						return e, nil
					}
				})
			})
		}
	}
}

// forgetful is like a goleveldb later than ours.
type forgetful struct{ *dbm.MemDB }

func (f forgetful) Get(key []byte) ([]byte, error) {
	value, err := f.MemDB.Get(key)
	if len(value) == 0 {
		return nil, err
	}
	return value, err
}
