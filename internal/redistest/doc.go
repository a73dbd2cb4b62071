// Package redistest starts real Redis servers on loopback for tests, and a
// proxy that brings the faults of a network between them and their clients.
//
//	server := redistest.Start(t)                            // ready; gone with the test
//	server = redistest.Start(t, "--maxmemory", "1mb")       // with configuration directives
//	server = redistest.StartTLS(t)                          // TLS only
//	cluster := redistest.StartCluster(t, 3)                 // ~2 s: see NewCluster to share one
//	sentinel := redistest.StartSentinel(t)                  // master, replica and one sentinel
//	proxy := redistest.StartProxy(t, server.Addr)
//
//	client := server.Client(t)                              // closed with the test
//	server.Do(t, "PUBLISH", "news", "hello")
//	proxy.Cut()
//
// What Start… makes lives as long as the test; what New… makes lives until
// Close, for a TestMain that shares one server among many tests. Every server
// is in a directory of its own, saves nothing unless told to, and dies with the
// process that started it, however that ends.
//
// When redis-server is not installed every constructor fails with the one line
// that installs it. Nothing is ever skipped.
package redistest
