package callgrind

const supported = true

// A call is what valgrind takes: the request and its arguments.
type call [6]uint64

func request(code uint64) { ask(&call{code}) }

//go:noescape
func ask(c *call)
