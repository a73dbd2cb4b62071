package redismux

// A PatternSubscription listens to the channels that match one pattern. Its
// methods may be called from any goroutine, callbacks among them, and never wait
// for Redis.
type PatternSubscription struct {
	s       *subscription
	pattern string
}

// NewPatternSubscription returns a subscription to a pattern of PSUBSCRIBE:
// "news.*", "h?llo", "h[ae]llo", with a backslash before what stands for
// itself; see EscapeGlob. onDisconnect and onActivation may be nil; a nil
// onMessage panics. The empty pattern is refused with [ErrEmptyPattern].
//
// Each pattern costs the server on every PUBLISH: 10,000 of them make it some
// 400 times slower.
func (m *Multiplexer) NewPatternSubscription(pattern string, onMessage OnMessageFunc, onDisconnect OnDisconnectFunc, onActivation OnActivationFunc, options ...SubscriptionOption) *PatternSubscription {
	s := m.newSubscription(patterns, onMessage, onDisconnect, onActivation, options)
	if pattern == "" {
		s.refuse(pattern, ErrEmptyPattern)
	} else {
		_ = s.add([]string{pattern}) // it fails when closed, and nobody can have closed it
	}
	return &PatternSubscription{s, pattern}
}

// GetPattern returns the pattern.
func (p *PatternSubscription) GetPattern() string { return p.pattern }

// Close ends the subscription. Closing it again does nothing.
func (p *PatternSubscription) Close() { p.s.close() }
