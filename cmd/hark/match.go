package main

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/harkbus/pubsub/cmd/hark/internal/feed"
	"github.com/harkbus/pubsub/query"
)

const matchLong = `Match reads publications, one JSON object a line, from files or standard input,
and prints the lines whose events match the query, unchanged and in order.

    {"events":{"tm.event":["Tx"],"transfer.amount":["5uatom"]},"data":…}

It also reads what a node of Tendermint or CometBFT sends to its subscribers
(JSON-RPC messages with a result of query, data and events), and what a node
answers to block_results: of that it prints one compact line for each
transaction, and for each event of the block itself, that matches.

With --json-lines a line is any JSON object, such as one of a log. Names within
names are joined by dots, an array is several values, numbers are as written
(a query takes 1e5 for 1), and null, [] and {} are no value:

    {"level":"error","http":{"status":502,"tags":["a","b"]}}

    level = 'error' AND http.status >= 500 AND http.tags = 'b'

Queries:

    tm.event = 'Tx'                     also != on text, numbers, dates and times
    tx.height > 5                       also >= < <=
    block.time >= TIME 2013-05-03T14:45:00Z
    block.time <  DATE 2013-05-04
    transfer.sender CONTAINS 'cosmos1'  also STARTSWITH, ENDSWITH, MATCHES (RE2)
    tx.code IN (0, 5)
    message.action EXISTS
    a = 1 AND (b = 2 OR NOT c = 3)

With -q there may be several queries, each with a name that goes in front of
what it matches; then all arguments are files.

The exit status is 0 if something matched, 1 if nothing did, and 2 if something
was wrong. A line that cannot be read, or is longer than 64 MiB, is reported
with its number and skipped, and the exit status is 2 in the end.

Match keeps up with an endless pipe: it holds one line at a time and prints
what it has before it waits for more.`

const matchExamples = `  hark match "tm.event = 'Tx' AND transfer.amount > 1000" events.jsonl
  tail -f events.jsonl | hark match -n "message.action ENDSWITH 'MsgVote'"
  hark match -q big="transfer.amount > 1000000" -q votes="tm.event = 'Vote'" -c *.jsonl
  hark match --explain --limit 1 "transfer.sender EXISTS AND NOT tx.height < 5" events.jsonl
  curl -s localhost:26657/block_results?height=5 | hark match "transfer.amount > 10"
  hark match --json-lines "level = 'error' AND http.status >= 500" app.log`

// searchOptions are the flags of match.
type searchOptions struct {
	count   bool
	invert  bool
	number  bool
	explain bool
	limit   int

	jsonLines bool
}

func (a *app) newMatch() *cobra.Command {
	var options searchOptions
	var named []string
	c := &cobra.Command{
		Use:                   "match [flags] QUERY [FILE...]\n  hark match [flags] -q NAME=QUERY... [FILE...]",
		Short:                 "Print the events that match a query: grep for events",
		Long:                  matchLong,
		Example:               matchExamples,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     completeMatch,
		RunE: func(_ *cobra.Command, args []string) error {
			queries, files, err := parseQueries(named, args)
			if err != nil {
				return err
			}
			if options.limit < 0 {
				return fmt.Errorf("--limit is %d; it is a number of matches, or 0 for all", options.limit)
			}
			a.warnOfTextOrder(queries)
			return a.search(options, queries, files)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&named, "query", "q", nil, "a query with a name, `NAME=QUERY`; may be repeated")
	flags.BoolVarP(&options.count, "count", "c", false, "print how many match instead of what matches")
	flags.BoolVarP(&options.invert, "invert-match", "v", false, "print what does not match")
	flags.BoolVarP(&options.number, "line-number", "n", false, "put the number of the line in front, and the file if there are several")
	flags.IntVar(&options.limit, "limit", 0, "stop after `N` matches; 0 is never")
	flags.BoolVar(&options.explain, "explain", false, "tell on standard error, for each condition, which values satisfied it")
	flags.BoolVar(&options.jsonLines, "json-lines", false, "a line is any JSON object, and what is in it are the events")
	return c
}

// completeMatch completes files, but not where the query stands.
func completeMatch(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 && !c.Flags().Changed("query") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// A namedQuery is one of the queries of a search; a query that is alone has no
// name.
type namedQuery struct {
	name string
	*query.Query
}

// parseQueries returns the queries and the files of a command line.
func parseQueries(named, args []string) ([]namedQuery, []string, error) {
	if len(named) == 0 {
		if len(args) == 0 {
			return nil, nil, errors.New("match needs a query (see hark match --help)")
		}
		q, err := query.New(args[0])
		return []namedQuery{{"", q}}, args[1:], err
	}
	queries := make([]namedQuery, 0, len(named))
	names := map[string]bool{}
	for _, text := range named {
		q, err := parseNamed(text)
		if err != nil {
			return nil, nil, err
		}
		if names[q.name] {
			return nil, nil, fmt.Errorf("-q gives the name %s to two queries", q.name)
		}
		names[q.name] = true
		queries = append(queries, q)
	}
	return queries, args, nil
}

// A name cannot look like a key, so that a forgotten name is noticed.
var namePattern = regexp.MustCompile(`^[\pL\d_-]+$`)

func parseNamed(text string) (namedQuery, error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok || !namePattern.MatchString(name) {
		return namedQuery{}, fmt.Errorf("-q takes NAME=QUERY, the name in letters, digits, _ and -, such as -q txs=\"tm.event = 'Tx'\"; got %q", text)
	}
	q, err := query.New(rest)
	if err != nil {
		return namedQuery{}, fmt.Errorf("-q %s: %w", name, err)
	}
	return namedQuery{name, q}, nil
}

var quotedNumber = regexp.MustCompile(`^-?\d+(\.\d*)?$`)

// warnOfTextOrder warns of comparisons that look like ones of numbers, but
// compare text.
func (a *app) warnOfTextOrder(queries []namedQuery) {
	for _, q := range queries {
		for _, c := range q.Conditions() {
			if isOrder(c.Op) && c.Operands[0].Kind() == query.String && quotedNumber.MatchString(c.Operands[0].Text()) {
				a.log.Warn("compares text, in which '10' is less than '9'; to compare numbers, leave the quotes out",
					"condition", c.String())
			}
		}
	}
}

func isOrder(op query.Op) bool {
	switch op {
	case query.Less, query.LessOrEqual, query.Greater, query.GreaterOrEqual:
		return true
	}
	return false
}

// search searches the files, or standard input if there are none, and returns
// nil if something matched and all could be read.
func (a *app) search(options searchOptions, queries []namedQuery, files []string) error {
	if len(files) == 0 {
		files = []string{standardInput}
	}
	s := &search{
		searchOptions: options,
		queries:       queries,
		counts:        make([]int, len(queries)),
		namesFiles:    options.number && len(files) > 1,
		in:            a.in,
		out:           bufio.NewWriterSize(a.out, outputSize),
		explanations:  a.err,
		log:           a.log,
		decoder:       options.decoder(queries),
	}
	return s.run(files)
}

// decoder returns what reads the lines.
func (o *searchOptions) decoder(queries []namedQuery) decoder {
	if !o.jsonLines {
		return &feed.Decoder{}
	}
	plain := make([]*query.Query, len(queries))
	for i, q := range queries {
		plain[i] = q.Query
	}
	return feed.NewDocuments(plain...)
}
