package tmdb

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	dbm "github.com/tendermint/tm-db"

	"github.com/harkbus/pubsub/store"
)

// Use returns an engine on the part of a database whose keys begin with prefix,
// which nobody else may write to; "" is all of it. The database must outlive the
// engine. Use fails with a *store.InUseError while another engine of this process
// has that part, or some of it.
func Use(db dbm.DB, prefix string) (*Engine, error) {
	if err := parts.take(db, prefix); err != nil {
		return nil, err
	}
	return &Engine{db: db, prefix: []byte(prefix), copies: true, release: func() error {
		parts.giveBack(db, prefix)
		return nil
	}}, nil
}

// parts are those of databases that engines of this process have.
var parts = partition{taken: make(map[part]time.Time)}

type partition struct {
	mu    sync.Mutex
	taken map[part]time.Time // since when
}

type part struct {
	db     dbm.DB
	prefix string
}

func (p *partition) take(db dbm.DB, prefix string) error {
	if !reflect.TypeOf(db).Comparable() {
		return nil // it cannot be told from others
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, since := range p.taken {
		if other.db == db && (strings.HasPrefix(other.prefix, prefix) || strings.HasPrefix(prefix, other.prefix)) {
			return &store.InUseError{
				Dir: fmt.Sprintf("the part %q of a database", other.prefix),
				PID: os.Getpid(), Program: filepath.Base(os.Args[0]), Since: since,
			}
		}
	}
	p.taken[part{db, prefix}] = time.Now()
	return nil
}

func (p *partition) giveBack(db dbm.DB, prefix string) {
	if !reflect.TypeOf(db).Comparable() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, part{db, prefix})
}
