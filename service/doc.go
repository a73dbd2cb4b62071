// Package service gives long-running parts of a program one life cycle: they
// are started, stopped and, where they allow it, reset and started again.
//
// It keeps the API of Tendermint's libs/service, so that its users feel at
// home, and makes it safe: every method may be called from any goroutine.
//
//	type Node struct{ service.BaseService }
//
//	func NewNode() *Node {
//		n := &Node{}
//		n.BaseService = *service.NewBaseService(nil, "Node", n)
//		return n
//	}
//	func (n *Node) OnStart() error { … } // start goroutines
//	func (n *Node) OnStop()        { … } // stop them and wait for them
//
//	err := service.Run(ctx, NewNode()) // until ctx is done or Stop is called
//
// # States
//
//	       Start            Stop              OnStop returned
//	new ─────────▶ running ─────▶ stopping ─────────────────▶ stopped
//	 ▲                                                            │
//	 └──────────────────────────── Reset ─────────────────────────┘
//
// OnStart, OnStop and OnReset are called by one goroutine at a time, at most
// once per transition. OnStart may call Stop, which calls OnStop within it; all
// other calls of Start, Stop and Reset from within them return an error.
// IsRunning is true from before OnStart, so that a goroutine that OnStart starts may loop while it is. If
// OnStart fails, IsRunning is false, which ends that goroutine, and the service
// is new again.
package service
