package pubsub_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/harkbus/pubsub"

// A part is one or more packages that may import one another, whatever is on
// the layers below them, and of other modules only what its vendors name.
type part struct {
	packages []string // import paths below the module; "" is the root; what is below a package is part of it
	vendors  []string // prefixes of import paths
}

// layers holds the architecture, lowest first. An import points down: to a
// part of a lower layer, never to one of the same.
//
//	L7  cmd/hark
//	L6  metrics   console
//	L5  stream   redisbridge
//	L4  client+pubclient+subclient+clients+env   eventlog   queue
//	L3  history   redismux   room   pubsubtest   sim   compat
//	L2  root       store/tmdb
//	L1  match      store      codec      jsonevents
//	L0  query   service
//	    internal
var layers = [][]part{
	{
		{packages: []string{"internal"}},
	},
	{
		{packages: []string{"internal/redistest"}, vendors: []string{rueidis, "github.com/stretchr/testify", "go.uber.org/goleak"}}, // for tests only
	},
	{
		{packages: []string{"query"}},
		{packages: []string{"service"}},
	},
	{
		{packages: []string{"match"}},
		{packages: []string{"jsonevents"}},
		{packages: []string{"store"}},
		{packages: []string{"codec"}, vendors: []string{"google.golang.org/protobuf"}},
	},
	{
		{packages: []string{""}},
		{packages: []string{"store/tmdb"}, vendors: []string{"github.com/tendermint/tm-db", "github.com/syndtr/goleveldb"}},
	},
	{
		{packages: []string{"redismux"}, vendors: []string{rueidis}},
		{packages: []string{"room"}, vendors: []string{rueidis}},
		{packages: []string{"history"}},
		{packages: []string{"pubsubtest"}},
		{packages: []string{"compat"}},
		{packages: []string{"sim"}},
	},
	{
		{packages: []string{"eventlog"}},
		{packages: []string{"queue"}},
		{packages: []string{"client", "pubclient", "subclient", "clients", "env"}, vendors: []string{websocket}},
	},
	{
		{packages: []string{"stream"}, vendors: []string{websocket, "github.com/golang-jwt/jwt"}},
		{packages: []string{"redisbridge"}, vendors: []string{rueidis}},
	},
	{
		{packages: []string{"metrics"}, vendors: []string{"github.com/prometheus"}}, // with streammetrics and bridgemetrics below it
		{packages: []string{"console"}},
	},
	{
		{packages: []string{"cmd/hark"}, vendors: []string{"github.com/spf13", "golang.org/x/term", "github.com/go-json-experiment/json", "github.com/HdrHistogram/hdrhistogram-go", "github.com/alicebob/miniredis"}},
	},
}

const (
	rueidis   = "github.com/redis/rueidis"
	websocket = "github.com/gorilla/websocket"
)

func TestImportsPointDown(t *testing.T) {
	for _, p := range list(t, "./...") {
		layer, from := find(p.ImportPath)
		if from == nil {
			t.Errorf("%s stands on no layer: give it a place in the table above", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !allowed(layer, from, imported) {
				t.Errorf("%s imports %s, which its layer does not allow", p.ImportPath, imported)
			}
		}
	}
}

// A program that imports only the root package links no other module.
func TestTheRootPackageLinksNoOtherModule(t *testing.T) {
	for _, p := range list(t, "-deps", ".") {
		if !p.Standard && !isOurs(p.ImportPath) {
			t.Errorf("the root package links %s", p.ImportPath)
		}
	}
}

// A program that collects the metrics of the bus links Prometheus, what that
// links, and neither the bridge nor the stream server.
func TestTheMetricsOfTheBusLinkPrometheusAlone(t *testing.T) {
	const client = "github.com/prometheus/client_golang/prometheus"
	prometheus := map[string]bool{}
	for _, p := range list(t, "-deps", client, client+"/collectors", client+"/promhttp") {
		prometheus[p.ImportPath] = true
	}
	bus := map[string]bool{}
	for _, p := range list(t, "-deps", ".") {
		bus[p.ImportPath] = true
	}
	for _, p := range list(t, "-deps", "./metrics") {
		if !p.Standard && !prometheus[p.ImportPath] && !bus[p.ImportPath] && !strings.HasPrefix(p.ImportPath, module+"/metrics") {
			t.Errorf("package metrics links %s", p.ImportPath)
		}
	}
}

// find returns the part that a package belongs to, the one that names the
// longest prefix of its path, and the layer of that part; nil if there is none.
func find(path string) (layer int, found *part) {
	longest := -1
	below := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	for l := range layers {
		for i := range layers[l] {
			for _, named := range layers[l][i].packages {
				if len(named) > longest && isBelow(named, below) {
					layer, found, longest = l, &layers[l][i], len(named)
				}
			}
		}
	}
	return layer, found
}

// isBelow tells whether path is the named package or one below it. Below the
// root, which is above all, only itself counts.
func isBelow(named, path string) bool {
	return path == named || named != "" && strings.HasPrefix(path, named+"/")
}

func allowed(layer int, from *part, imported string) bool {
	if isOurs(imported) {
		l, to := find(imported)
		return to == from || to != nil && l < layer
	}
	return isStandard(imported) || slices.ContainsFunc(from.vendors, func(vendor string) bool {
		return strings.HasPrefix(imported, vendor)
	})
}

func isOurs(path string) bool {
	return path == module || strings.HasPrefix(path, module+"/")
}

// isStandard uses that the first element of a path outside the standard
// library is a host name.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports"}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("go list: %s", exit.Stderr)
	}
	require.NoError(t, err)

	var packages []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}
