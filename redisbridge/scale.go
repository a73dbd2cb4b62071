package redisbridge

const (
	// maxGuessed is how many items of an outbox may have a guess for a size, at
	// most, and firstGuessed before anything was weighed. With more, publishers
	// weigh what they offer themselves.
	maxGuessed   = 1024
	firstGuessed = 64

	weighAt     = maxGuessed / 4 // where whoever takes is told that there is much to weigh
	guessPerKey = 96             // bytes that a guess counts for a key and its values
)

// A scale weighs the items of an outbox for whoever takes them. Publishers go on
// during that: the items stay where they are, for nobody else takes any.
//
// How many items may have a guess is so chosen that as many of the heaviest of
// the last weighing would be half of what the outbox may hold. So it may hold
// half as much again, for as long as a goroutine takes to be scheduled; and more
// only if publications grow from one moment to the next.
type scale struct {
	measure
	guesses []*item // being weighed
	sizes   []int   // of these
}

// weighGuessed replaces all guesses of now.
func (o *outbox) weighGuessed(s *scale) {
	o.mu.Lock()
	s.guesses, o.guessed = o.guessed, s.guesses[:0]
	o.mu.Unlock()
	if len(s.guesses) == 0 {
		return
	}
	heaviest := 1
	s.sizes = s.sizes[:0]
	for _, i := range s.guesses {
		size := s.sizeOf(i.message)
		s.sizes = append(s.sizes, size)
		heaviest = max(heaviest, size)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, i := range s.guesses {
		o.queued.bytes += s.sizes[n] - i.size
		i.size = s.sizes[n]
	}
	clear(s.guesses)
	o.mayGuess = min(maxGuessed, o.limitBytes/2/heaviest)
	o.grantRoom()
}

// remember takes note that the size of an item is a guess. The caller holds
// o.mu.
func (o *outbox) remember(i *item) {
	o.guessed = append(o.guessed, i)
	if len(o.guessed) == min(weighAt, o.mayGuess) {
		signal(o.weigh)
	}
}
