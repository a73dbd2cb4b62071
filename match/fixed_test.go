package match

// NewFixed returns an index that hashes the same in every run, for tests that
// count its work: who shares a tag with whom is a matter of chance otherwise.
func NewFixed[V any]() *Index[V] {
	return newWith[V](func(s string) uint64 {
		h := uint64(0)
		for i := range len(s) {
			h = mixed(h, uint64(s[i]))
		}
		return mixed(h, uint64(len(s)))
	})
}

func newWith[V any](hash func(string) uint64) *Index[V] {
	x := &Index[V]{}
	x.core.fixed = hash
	x.core.init()
	x.core.beside = &x.values
	return x
}
