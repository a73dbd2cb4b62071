//go:build !amd64

package callgrind

const supported = false

func request(uint64) {}
