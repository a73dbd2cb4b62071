package redistest

import "go.uber.org/goleak"

// Sleepers are the goroutines of rueidis that sleep for up to five seconds
// after their client was closed and that nothing can wait for: a TestMain that
// uses a cluster passes them to goleak.VerifyTestMain.
func Sleepers() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"), // closes connections to nodes that left
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),           // a refresh later
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).LazyDo.func1"),            // no refresh sooner
	}
}
