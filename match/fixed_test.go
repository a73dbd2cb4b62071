package match

import "hash/fnv"

// NewFixed returns an index that hashes the same in every run, for tests that
// count its work: who shares a tag with whom is a matter of chance otherwise.
func NewFixed[V any]() *Index[V] {
	x := &Index[V]{}
	x.core.fixed = func(s string) uint64 {
		h := fnv.New64a()
		_, _ = h.Write([]byte(s))
		return mixed(h.Sum64(), 0)
	}
	x.core.init()
	x.core.beside = &x.values
	return x
}
