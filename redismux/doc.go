// Package redismux carries any number of Redis Pub/Sub subscriptions over one
// connection.
//
//	mux := redismux.New(redismux.FromOption(rueidis.ClientOption{InitAddress: []string{"localhost:6379"}}))
//	defer mux.Stop()
//
//	news := mux.NewChannelSubscription(func(channel string, message []byte) {
//		fmt.Printf("%s: %s\n", channel, message)
//	}, nil, nil)
//	news.Add("sports", "weather") // SUBSCRIBE, once per name however many listen to it
//	news.Remove("sports")         // UNSUBSCRIBE, when nobody listens any more
//
// It keeps the API of RedisMPX (github.com/RedisMPX/go-mpx), so that its users
// feel at home, and works on one server, Sentinel and Cluster, with TLS and ACL.
//
//	ChannelSubscription   some channels; or sharded channels, see NewShardedSubscription
//	PatternSubscription   one pattern
//	PromiseSubscription   single messages, each awaited under a name and with a timeout
//	Messages              channels as an iterator
//
// # Callbacks
//
// All callbacks of a Multiplexer run one after another, on one goroutine of its
// own. They may add, remove, close and make subscriptions and promises; they
// must not call what waits for other callbacks: Stop, Restart, WaitForActivation
// and the like. A slow callback delays those behind it, and nothing else: the
// connection is read and kept alive meanwhile.
//
// A connection of the Multiplexer is told to a subscription in this order:
//
//	OnActivation(name)           once per name: from now on no message to it is missed
//	OnMessage(channel, message)  in the order of the server
//	OnDisconnect(cause)          after the last message, to subscriptions in order of creation
//	OnActivation(name)           again, after the reconnect
//
// A name that other subscriptions listen to already is active at once, without
// a command to Redis. A subscription gets one copy of a message per name of its
// own: that another one's pattern matches the channel too makes no difference.
// After Remove or Close has returned no further message is delivered, except
// that one which another goroutine is just delivering may end later.
//
// A name that Redis refuses, because the user has no permission for it, is told
// to OnError; it stays with the subscription and is tried again at the next
// reconnect and when it is added again. The names sent along with it are active
// all the same, and the connection stays.
//
// # Losses
//
// Pub/Sub keeps nothing: what is published between OnDisconnect and the next
// OnActivation is lost to this process. What has arrived is delivered, as long
// as callbacks keep up with the connection: messages wait for their callbacks
// in a buffer of Options.BufferBytes; one that does not fit ends the connection,
// and every subscription gets OnDisconnect with [ErrOverflow] after what was in
// the buffer. So a loss is always told.
//
// # Connections
//
// A Multiplexer holds one subscribed connection. It is made anew whenever it is
// lost, after a delay from an exponential backoff with full jitter, which a
// connection that is lost at once does not reset. Add and Remove never wait for
// it: they change what is wanted, and one goroutine brings the server there,
// with as few commands as it takes, pipelined, in the order of the calls.
//
// In a cluster that connection leads to any node: ordinary channels are the
// same on all. Sharded channels have connections of their own, one per node
// that owns some of them, which follow their slots.
//
// # Permissions
//
// This is all that the user of a Multiplexer needs, with its channels and
// patterns behind the ampersands and the last two only for sharded channels; a
// pattern has to be there letter by letter, for promises prefix and asterisk:
//
//	ACL SETUSER mux on >secret resetchannels &news.* &reply:* -@all
//	    +subscribe +unsubscribe +psubscribe +punsubscribe +ping +ssubscribe +sunsubscribe
//
// A cluster client also needs +cluster|slots or +cluster|shards.
//
// # Shutdown
//
// Stop closes the connections, lets callbacks finish with what has arrived,
// tells OnDisconnect([ErrStopped]) and returns when every goroutine has ended.
// The subscriptions keep their names, and Restart brings them back. A
// subscription is closed with its Close; one of a Multiplexer that is no longer
// used need not be.
package redismux
