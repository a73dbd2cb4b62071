package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Errors of Start, Stop and Reset, returned as they are.
var (
	// ErrAlreadyStarted is returned by Start when the service runs already.
	ErrAlreadyStarted = errors.New("already started")
	// ErrAlreadyStopped is returned by Stop when the service was stopped
	// before, and by Start when it was stopped and not reset.
	ErrAlreadyStopped = errors.New("already stopped")
	// ErrNotStarted is returned by Stop when the service was not started.
	ErrNotStarted = errors.New("not started")
	// ErrCannotReset is returned by Reset when the service has no OnReset.
	ErrCannotReset = errors.New("the service cannot be reset")
)

// A Service can be started, stopped and, if it defines OnReset, reset.
type Service interface {
	// Start calls OnStart and returns its error.
	Start() error
	OnStart() error

	// Stop calls OnStop, waits for it, and closes Quit.
	Stop() error
	OnStop()

	// Reset makes a stopped service startable again.
	Reset() error
	OnReset() error

	// IsRunning tells whether the service was started and not stopped yet. It
	// is true from before OnStart is called, and false from before OnStop is.
	IsRunning() bool

	// Quit returns a channel that is closed once OnStop has returned. What an
	// OnStop leaves to be done after it, its service says.
	Quit() <-chan struct{}

	// Wait returns once Quit is closed.
	Wait()

	// String returns the name of the service.
	String() string

	// SetLogger sets where the service tells of its life; nil is silence. Start
	// and Stop have the logger called by a goroutine of its own, which it may
	// exit, and wait for it. It may call them, with locks of its own held: then
	// they do not wait for it. A line that makes it panic goes to the standard
	// log instead.
	SetLogger(Logger)
}

// Run starts svc, waits until ctx is done or somebody else stops svc, stops
// it and waits until it has stopped. It returns the error of Start, or nil.
func Run(ctx context.Context, svc Service) error {
	quit := svc.Quit() // of this life, before somebody else ends it and resets svc
	if err := svc.Start(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-quit:
		return nil
	}
	select {
	case <-quit: // both: svc may have another life by now, which is not Run's to stop
		return nil
	default:
	}
	err := svc.Stop()
	if errors.Is(err, ErrAlreadyStopped) || errors.Is(err, ErrNotStarted) { // somebody else was first
		err = nil
	}
	<-quit
	return err
}

// state is where a service is in its life; doc.go has the picture.
type state uint8

const (
	isNew state = iota
	isStarting
	isRunning
	isStopping
	isStopped
	isResetting
)

// A BaseService is embedded by a service and calls the methods OnStart,
// OnStop and OnReset of it. Its methods may be called from any goroutine. A
// BaseService may be copied before its first use: copies are one service.
type BaseService struct {
	// Logger is for the embedding service. It forwards to what SetLogger was
	// given last and may be used while that changes.
	Logger Logger

	*life
}

// life is the state that copies of a BaseService share.
type life struct {
	name   string
	impl   Service
	logger *logger

	mu      sync.Mutex
	state   state
	started chan struct{} // of the Start under way, which closes it; nil: there is none
	starter goroutine     // that calls OnStart, while there is one
	quit    chan struct{} // closed when OnStop has returned
}

var _ Service = (*BaseService)(nil)

// NewBaseService returns the base of impl, which is the embedding service. A
// nil log is silence.
func NewBaseService(log Logger, name string, impl Service) *BaseService {
	l := &logger{}
	l.set(log)
	return &BaseService{
		Logger: l,
		life:   &life{name: name, impl: impl, logger: l, quit: make(chan struct{})},
	}
}

// SetLogger implements Service.
func (b *life) SetLogger(log Logger) { b.logger.set(log) }

// String implements Service.
func (b *life) String() string { return b.name }

// OnStart does nothing. Services that embed BaseService override it.
func (b *life) OnStart() error { return nil }

// OnStop does nothing. Services that embed BaseService override it.
func (b *life) OnStop() {}

// OnReset refuses. Services that can be reset override it.
func (b *life) OnReset() error { return ErrCannotReset }

// Start calls OnStart. It returns ErrAlreadyStarted, ErrAlreadyStopped or the
// error of OnStart. After the last the service can be started again, and
// IsRunning is false, so that goroutines that OnStart has left behind, and that
// loop while it is true, end.
func (b *life) Start() error {
	running, err := b.start()
	if !running {
		return err
	}
	b.logger.tell("service started", "service", b.name) // it may call Stop
	return nil
}

// start is Start without the logger. It tells whether the service runs: OnStart
// may have called Stop.
func (b *life) start() (running bool, err error) {
	b.mu.Lock()
	switch b.state {
	case isStarting, isRunning:
		b.mu.Unlock()
		return false, ErrAlreadyStarted
	case isStopping, isStopped, isResetting:
		b.mu.Unlock()
		return false, ErrAlreadyStopped
	}
	b.state = isStarting
	b.started, b.starter = make(chan struct{}), thisGoroutine()
	b.mu.Unlock()

	next := isNew // also if OnStart panics
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.state == isStarting { // it has not called Stop
			b.state = next
		}
		running = b.state == isRunning
		close(b.started)
		b.started, b.starter = nil, ""
	}()
	if err = b.impl.OnStart(); err == nil {
		next = isRunning
	}
	return running, err
}

// Stop calls OnStop, waits for it and closes Quit. A second Stop returns
// ErrAlreadyStopped at once; Stop before Start returns ErrNotStarted. Stop
// during Start first lets Start finish, unless OnStart itself calls it: then
// OnStop is called within OnStart, and the service is stopped whatever OnStart
// returns. OnStart must not wait for another goroutine that calls Stop.
func (b *life) Stop() error {
	b.mu.Lock()
	b.awaitStartLocked(isStarting)
	switch b.state {
	case isNew:
		b.mu.Unlock()
		return ErrNotStarted
	case isStopping, isStopped, isResetting:
		b.mu.Unlock()
		return ErrAlreadyStopped
	}
	b.state = isStopping
	b.mu.Unlock()

	defer func() {
		b.mu.Lock()
		b.state = isStopped
		close(b.quit)
		b.mu.Unlock()
	}()
	b.impl.OnStop()
	b.logger.tell("service stopped", "service", b.name)
	return nil
}

// awaitStartLocked waits for a Start under way in some state, unless it is
// called from there. It lets go of b.mu meanwhile.
func (b *life) awaitStartLocked(in state) {
	for b.state == in && b.started != nil && b.starter != thisGoroutine() {
		started := b.started
		b.mu.Unlock()
		<-started
		b.mu.Lock()
	}
}

// Reset calls OnReset, after which the service can be started again. It
// returns an error unless the service has been stopped, and that of OnReset.
func (b *life) Reset() error {
	b.mu.Lock()
	b.awaitStartLocked(isStopped) // its OnStart called Stop
	if b.state != isStopped || b.started != nil {
		b.mu.Unlock()
		return fmt.Errorf("can't reset running %s", b.name)
	}
	b.state = isResetting
	b.mu.Unlock()

	next := isStopped // also if OnReset panics
	defer func() {
		b.mu.Lock()
		if b.state = next; next == isNew {
			b.quit = make(chan struct{})
		}
		b.mu.Unlock()
	}()
	if err := b.impl.OnReset(); err != nil {
		return err
	}
	next = isNew
	return nil
}

// IsRunning implements Service.
func (b *life) IsRunning() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == isStarting || b.state == isRunning
}

// Quit implements Service. Reset replaces the channel.
func (b *life) Quit() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.quit
}

// Wait implements Service.
func (b *life) Wait() { <-b.Quit() }
