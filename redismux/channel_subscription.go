package redismux

// A ChannelSubscription listens to any number of channels, which come and go.
// Its methods may be called from any goroutine, callbacks among them, and never
// wait for Redis.
type ChannelSubscription struct{ s *subscription }

// NewChannelSubscription returns a subscription without channels: Add adds
// them. onDisconnect and onActivation may be nil; a nil onMessage panics.
func (m *Multiplexer) NewChannelSubscription(onMessage OnMessageFunc, onDisconnect OnDisconnectFunc, onActivation OnActivationFunc, options ...SubscriptionOption) *ChannelSubscription {
	return &ChannelSubscription{m.newSubscription(channels, onMessage, onDisconnect, onActivation, options)}
}

// NewShardedSubscription is like NewChannelSubscription but for the channels of
// SPUBLISH (Redis 7), which in a cluster live on the node that owns their slot.
// They have connections of their own. OnDisconnect is called when one is lost
// through which some of the channels were active. When a slot moves, its
// channels are told to OnError with [ErrSlotMoved], and to OnActivation when
// they are subscribed at the new owner.
func (m *Multiplexer) NewShardedSubscription(onMessage OnMessageFunc, onDisconnect OnDisconnectFunc, onActivation OnActivationFunc, options ...SubscriptionOption) *ChannelSubscription {
	return &ChannelSubscription{m.newSubscription(shards, onMessage, onDisconnect, onActivation, options)}
}

// Add adds channels. One that the subscription has already is left as it is.
// The only error is ErrClosed.
func (c *ChannelSubscription) Add(channels ...string) error { return c.s.add(channels) }

// Remove removes channels. One that the subscription does not have is ignored.
// The only error is ErrClosed.
func (c *ChannelSubscription) Remove(channels ...string) error { return c.s.remove(channels) }

// Clear removes all channels. The only error is ErrClosed.
func (c *ChannelSubscription) Clear() error { return c.s.clear() }

// Channels returns the set of the channels, active or not, in a map that the
// caller may change. It is empty after Close.
func (c *ChannelSubscription) Channels() map[string]struct{} {
	c.s.mux.mu.RLock()
	defer c.s.mux.mu.RUnlock()
	set := make(map[string]struct{}, len(c.s.members))
	for name := range c.s.members {
		set[name] = struct{}{}
	}
	return set
}

// HasChannel tells whether a channel was added, and not removed since.
func (c *ChannelSubscription) HasChannel(channel string) bool {
	c.s.mux.mu.RLock()
	defer c.s.mux.mu.RUnlock()
	return c.s.members[channel] != nil
}

// Close removes all channels and ends the subscription. Closing it again does
// nothing.
func (c *ChannelSubscription) Close() { c.s.close() }
