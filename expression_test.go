package pubsub_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

const overhead = 128 // steps of any query beside its regular expressions

// long returns a value over which an expression of so many instructions takes
// exactly so many steps.
func long(t testing.TB, steps, instructions int) string {
	require.Zero(t, steps%instructions)
	return strings.Repeat("x", steps/instructions-16)
}

// TestBudgetOfExpressionsIsExact has an expression of 22 instructions run over a
// value that takes as much as it may, and one step of 22 more.
func TestBudgetOfExpressionsIsExact(t *testing.T) {
	const steps = 22 * 1000
	for _, queued := range []bool{false, true} { // matched one by one, and in a group
		t.Run(fmt.Sprintf("queued=%v", queued), func(t *testing.T) {
			var log records
			server := pubsub.NewServer(pubsub.ExpressionBudget(4*(overhead+steps)), pubsub.BufferCapacity(10))
			server.SetLogger(&log)
			if !queued {
				require.NoError(t, server.Start())
			}
			sub := subscribe(t, server, "a", "m MATCHES 'x{20}' AND k EXISTS", 10, pubsub.Cancel)
			also := subscribe(t, server, "b", "m MATCHES 'x{20}' AND k EXISTS", 10, pubsub.Block)
			plain := subscribe(t, server, "c", "m EXISTS", 10, pubsub.Cancel)

			exactly := long(t, steps, 22)
			publish(t, server, 1, "k", "", "m", exactly)
			publish(t, server, 2, "m", exactly+exactly)         // k decides
			publish(t, server, 3, "m", exactly+"x")             // and here
			publish(t, server, 4, "k", "", "other", exactly)    // no value
			publish(t, server, 5, "k", "", "m", exactly+"x")    // one step more
			publish(t, server, 6, "k", "", "m", "xxxxxxxxxxxx") // too late
			if queued {
				require.NoError(t, server.Start())
			}
			for _, sub := range []*pubsub.Subscription{sub, also} {
				<-sub.Canceled()
				require.Equal(t, 1, next(t, sub))
				_, err := sub.Next(ctx)
				require.Equal(t, pubsub.ErrExpressionBudget, err)
				require.Equal(t, pubsub.ErrExpressionBudget, sub.Err())
			}
			require.NoError(t, server.Stop())
			for _, i := range []int{1, 2, 3, 5, 6} {
				require.Equal(t, i, next(t, plain))
			}
			stats := server.Stats()
			require.EqualValues(t, 2, stats.OverBudget)
			require.Zero(t, stats.Cut)
			require.EqualValues(t, 2+5, stats.Matched)
			require.Equal(t, 1, log.with("take too long"))
		})
	}
}

// Four queries that cost the most one may are all that fit; a cheaper one goes
// before them, and then the last of the four has no room.
func TestExpensiveExpressionsEndBeforeCheapOnesAndNewBeforeOld(t *testing.T) {
	const steps = 22 * 1000
	server := newServer(t, pubsub.ExpressionBudget(5*overhead+4*steps))
	value := long(t, steps, 22)
	var subs []*pubsub.Subscription
	gone := subscribe(t, server, "gone", "m EXISTS", 10, pubsub.Cancel)
	for i := range 5 {
		subs = append(subs, subscribe(t, server, fmt.Sprint(i), fmt.Sprintf("m MATCHES 'x{19}[x%d]'", i), 10, pubsub.Cancel))
	}
	require.NoError(t, server.UnsubscribeID(ctx, gone.ID())) // the index puts the last one in its place
	publish(t, server, "first", "m", value)
	for i, sub := range subs {
		require.Equal(t, i == 4, sub.Err() != nil, i)
	}
	cheap := subscribe(t, server, "cheap", "m MATCHES 'x'", 10, pubsub.Cancel)
	publish(t, server, "second", "m", value)
	for i, sub := range append(subs[:4], cheap) {
		require.Equal(t, []string{"first", "second"}[i/4], next(t, sub), i)
	}
	require.Equal(t, pubsub.ErrExpressionBudget, subs[3].Err())
	require.NoError(t, subs[2].Err())
	require.NoError(t, cheap.Err())
	require.EqualValues(t, 2, server.Stats().OverBudget)
	require.Equal(t, 4, server.NumClients())

	again := subscribe(t, server, "3", "m MATCHES 'x{19}[x3]'", 10, pubsub.Cancel)
	publish(t, server, "third", "m", "xxxxxxxxxxxxxxxxxxxx")
	require.Equal(t, "third", next(t, again))
}

// Many cheap queries took 160 ms of a publication that counted two thirds of its
// steps, when what each takes beside its expressions was not counted.
func TestManyCheapExpressionsAreBoundedAsFewExpensiveOnesAre(t *testing.T) {
	const cheap, fit = 5 * (1 + 16), 100 // steps of [xy]+$ over one byte, by hand
	server := newServer(t, pubsub.ExpressionBudget(fit*(overhead+cheap)))
	subs := make([]*pubsub.Subscription, 2*fit)
	for i := range subs {
		subs[i] = subscribe(t, server, fmt.Sprint(i), fmt.Sprintf("m MATCHES '[xy]+$' AND k != '%d'", i), 10, pubsub.Cancel)
	}
	_, steps := subs[0].Query().(*query.Query).Weigh(map[string][]string{"m": {"z"}, "k": {"q"}})
	require.EqualValues(t, cheap, steps)
	publish(t, server, 1, "m", "z", "k", "q")
	for i, sub := range subs {
		require.Equal(t, i >= fit, sub.Err() != nil, i)
	}
	require.EqualValues(t, fit, server.Stats().OverBudget)
}

// Whether a subscription ends depends on what rules its query out beforehand:
// a literal that is not in the value, or another condition.
func TestWhatIsRuledOutBeforehandTakesNothingOfTheBudget(t *testing.T) {
	server := newServer(t, pubsub.ExpressionBudget(4000))
	for i := range 8 { // the index just tries so few
		subscribe(t, server, fmt.Sprint(i), fmt.Sprintf("n = %d", i), 10, pubsub.Cancel)
	}
	bare := subscribe(t, server, "bare", "m MATCHES '[ab][cd]$'", 10, pubsub.Cancel)
	literal := subscribe(t, server, "literal", "m MATCHES 'never[ab][cd]$'", 10, pubsub.Cancel)
	other := subscribe(t, server, "other", "m MATCHES '[ab][cd]$' AND k = 'v'", 10, pubsub.Cancel)
	publish(t, server, 1, "m", strings.Repeat("a", 1000))
	require.Equal(t, pubsub.ErrExpressionBudget, bare.Err())
	require.NoError(t, literal.Err())
	require.NoError(t, other.Err())
}

// Who is not to get a publication takes nothing of what it may spend.
func TestExpressionsOfLaterSubscriptionsCostNothing(t *testing.T) {
	const steps = 22 * 21 * 100
	server := pubsub.NewServer(pubsub.ExpressionBudget(4*(overhead+steps)), pubsub.BufferCapacity(10))
	value := long(t, steps, 22)
	early := subscribe(t, server, "early", "m MATCHES 'x{20}'", 10, pubsub.Cancel)
	publish(t, server, 1, "m", value)
	for i := range 4 {
		subscribe(t, server, fmt.Sprint(i), fmt.Sprintf("m MATCHES 'x{18}[x%d]'", i), 10, pubsub.Cancel)
	}
	require.NoError(t, server.Start())
	require.NoError(t, server.Stop())
	require.Equal(t, 1, next(t, early))
	require.Equal(t, pubsub.ErrServerStopped, early.Err())
}

func TestExpressionBudgetBelowOneIsTheDefault(t *testing.T) {
	for _, options := range [][]pubsub.Option{nil, {pubsub.ExpressionBudget(0)}, {pubsub.ExpressionBudget(-1)}} {
		server := newServer(t, options...)
		const text = "m MATCHES 'x{398}'" // as much as a query may have
		require.Equal(t, 400, query.MustParse(text).Instructions())
		sub := subscribe(t, server, "a", text, 10, pubsub.Cancel)
		value := strings.Repeat("x", 16<<10)
		publish(t, server, 1, "m", value)
		require.NoError(t, sub.Err())
		publish(t, server, 2, "m", value+"x")
		require.Equal(t, pubsub.ErrExpressionBudget, sub.Err())
	}
}

// A query with many subscriptions ends in steps, between which others get in.
func TestAllSubscriptionsOfAnExpensiveQueryEnd(t *testing.T) {
	server := newServer(t, pubsub.ExpressionBudget(4))
	var subs []*pubsub.Subscription
	for i := range 1000 {
		subs = append(subs, subscribe(t, server, fmt.Sprint(i), "m MATCHES 'x'", 1, []pubsub.Overflow{pubsub.Cancel, pubsub.DropOldest, pubsub.Block}[i%3]))
		if i%5 == 0 {
			subs[i].Out()
		}
	}
	publish(t, server, 1, "m", "x")
	for _, sub := range subs {
		require.Equal(t, pubsub.ErrExpressionBudget, sub.Err())
	}
	require.Zero(t, server.NumClients())
	require.EqualValues(t, 1000, server.Stats().OverBudget)
	require.Zero(t, server.Stats().Index.Queries)
}

// TestNobodyWaitsForExpressionsBeyondTheBudget has what took 8 s and 4 s, before
// there was a budget, take a bounded time, during which the server answers.
func TestNobodyWaitsForExpressionsBeyondTheBudget(t *testing.T) {
	const generous = 20 // the race detector, and other processes
	server := newServer(t)
	wide := query.Limits{Length: 1 << 16, Regexp: 1 << 20}
	alternatives := make([]string, 95)
	for i := range alternatives {
		alternatives[i] = fmt.Sprintf("m MATCHES '[ab]{0,400}[cd]$|%d'", i)
	}
	var hostile []*pubsub.Subscription
	for _, text := range []string{strings.Join(alternatives, " OR "), "m MATCHES 'x{0,400}y'"} {
		q, err := wide.New(text)
		require.NoError(t, err)
		_, err = query.New(text)
		require.ErrorContains(t, err, "instructions, more than 400")
		sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{ClientID: "hostile", Query: q})
		require.NoError(t, err)
		hostile = append(hostile, sub)
	}
	cheap := subscribe(t, server, "cheap", "m MATCHES '^[ab]'", 10, pubsub.Cancel)

	start := time.Now()
	publish(t, server, 1, "m", strings.Repeat("ab", 8<<10))
	publish(t, server, 2, "m", strings.Repeat("x", 900_000))
	require.Less(t, time.Since(start), generous*200*time.Millisecond)
	require.Equal(t, 1, next(t, cheap))
	for _, sub := range hostile {
		require.Equal(t, pubsub.ErrExpressionBudget, sub.Err())
	}
	require.NoError(t, cheap.Err())
}

// TestExpressionsRunWithoutTheLock publishes what takes long, and meanwhile
// does what needs the lock.
func TestExpressionsRunWithoutTheLock(t *testing.T) {
	server := newServer(t, pubsub.ExpressionBudget(1<<40), pubsub.BufferCapacity(16))
	q, err := query.Limits{Regexp: 1000}.New("m MATCHES 'x{0,400}[yz]'")
	require.NoError(t, err)
	sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{ClientID: "slow", Query: q})
	require.NoError(t, err)
	begun, published := make(chan struct{}), make(chan struct{})
	server.Observe(func(pubsub.Message) { close(begun) })
	go func() {
		defer close(published)
		publish(t, server, 1, "m", strings.Repeat("x", 40_000)+"y")
	}()
	<-begun
	calls := 0
	for during := true; during; calls++ {
		require.NoError(t, server.Unsubscribe(ctx, "other", subscribe(t, server, "other", "m MATCHES 'z'", 1, pubsub.Cancel).Query()))
		require.LessOrEqual(t, server.NumClients(), 2)
		select {
		case <-published:
			during = false
		default:
		}
	}
	require.Greater(t, calls, 100)
	require.Equal(t, 1, next(t, sub))
}

// TestOneMegabyteCostsLittleWithoutExpressions has what hark serve lets clients
// subscribe to, without MATCHES, meet values that are many or long.
func TestOneMegabyteCostsLittleWithoutExpressions(t *testing.T) {
	repeated := func(v string, n int) []string { return strings.Split(strings.Repeat(v+",", n-1)+v, ",") }
	zeros := strings.Repeat("0", 900_000)
	for condition, values := range map[string][]string{
		"k>=5":                    {zeros + "5"},
		"k>=1":                    {"1." + zeros},
		"k>=DATE 2013-05-03":      {"2013-05-03T00:00:00." + zeros + "Z"},
		"k CONTAINS 'aab'":        {strings.Repeat("a", 900_000) + "b"},
		"k CONTAINS 'abababac'":   {strings.Repeat("ab", 450_000) + "ac"},
		"k!='z'":                  repeated("a", 200_000),
		"k!=5":                    repeated("7", 200_000),
		"NOT k='z'":               repeated("a", 200_000),
		"NOT k IN (1,2,3,4,5,6)":  repeated("7", 200_000),
		"NOT k STARTSWITH 'z'":    repeated("a", 200_000),
		"NOT k ENDSWITH 'z'":      repeated("a", 200_000),
		"NOT missing EXISTS":      {"a"},
		"NOT k CONTAINS 'aaaaab'": {strings.Repeat("a", 900_000)},
	} {
		t.Run(condition, func(t *testing.T) {
			server := newServer(t, pubsub.ExpressionBudget(64_000_000))
			const queries = 500
			var subs []*pubsub.Subscription
			events := map[string][]string{"k": values, "u": nil}
			for i := range queries {
				text := strings.Repeat(condition+" AND ", 500/(len(condition)+5)) + fmt.Sprint("u=", i)
				subs = append(subs, subscribe(t, server, fmt.Sprint(i), text, 1, pubsub.Cancel))
				events["u"] = append(events["u"], fmt.Sprint(i))
			}
			since := time.Now()
			require.NoError(t, server.PublishWithEvents(ctx, "all", events))
			require.Less(t, time.Since(since), 10*time.Second) // half a minute, if each condition reads the values
			got := 0
			for _, sub := range subs {
				if sub.Err() == nil {
					require.Equal(t, "all", next(t, sub))
					got++
				} else {
					require.Equal(t, pubsub.ErrExpressionBudget, sub.Err())
				}
			}
			require.EqualValues(t, queries-got, server.Stats().OverBudget)
			if !strings.Contains(condition, "S") || strings.Contains(condition, "EXISTS") { // a comparison
				require.Equal(t, queries, got)
			}
		})
	}
}

// One publication may end very many queries; the log hears of it in few lines.
func TestManyQueriesOverTheBudgetAreFewLinesOfLog(t *testing.T) {
	var log records
	server := pubsub.NewServer(pubsub.ExpressionBudget(1))
	server.SetLogger(&log)
	require.NoError(t, server.Start())
	for i := range 1000 {
		subscribe(t, server, "a", fmt.Sprintf("m MATCHES '[xy]+$' AND k != '%d'", i), 1, pubsub.Cancel)
	}
	publish(t, server, 1, "m", "z", "k", "v")
	require.Zero(t, server.NumClients())
	require.EqualValues(t, 1000, server.Stats().OverBudget)
	require.NoError(t, server.Stop())
	require.Equal(t, 17, log.with("take too long"))
	require.Equal(t, 1, log.with("many queries"))
}

// Queries that each take somewhat less than 1,024 steps were not counted: 100,000
// of them took half a second, with the server's lock.
func TestManyShortSearchesAreBoundedTogether(t *testing.T) {
	const queries, fit = 3000, 100
	const steps = (62*64 + 16) / 4 // of one search, by hand
	const free = (1 << 19) / steps // in the index, and on the scale
	server := newServer(t, pubsub.ExpressionBudget(fit*(overhead+steps)))
	subs := make([]*pubsub.Subscription, queries)
	for i := range subs {
		subs[i] = subscribe(t, server, fmt.Sprint(i), fmt.Sprintf("NOT (k CONTAINS '%sb' OR j = '%d')", strings.Repeat("a", 69), i), 1, pubsub.Cancel)
	}
	publish(t, server, 1, "j", "none", "k", strings.Repeat(strings.Repeat("a", 61)+"b", 64))
	got := 0
	for _, sub := range subs {
		if sub.Err() == nil {
			require.Equal(t, 1, next(t, sub))
			got++
		} else {
			require.Equal(t, pubsub.ErrExpressionBudget, sub.Err())
		}
	}
	require.Equal(t, free+free+fit, got)
	require.EqualValues(t, queries-got, server.Stats().OverBudget)
}

// To weigh queries takes time too, which their texts bound.
func TestWeighingQueriesIsBounded(t *testing.T) {
	const queries, size, weighed = 300, 50 << 10, 12 << 20
	server := newServer(t)
	got := 0
	var subs []*pubsub.Subscription
	for i := range queries {
		q, err := query.Limits{Length: 1 << 16}.New(fmt.Sprintf("m MATCHES '[xy]$' AND k != '%0*d'", size, i))
		require.NoError(t, err)
		sub, err := server.SubscribeWithArgs(ctx, pubsub.SubscribeArgs{ClientID: fmt.Sprint(i), Query: q})
		require.NoError(t, err)
		subs = append(subs, sub)
	}
	publish(t, server, 1, "m", "x", "k", "q")
	for _, sub := range subs {
		if sub.Err() == nil {
			got++
		}
	}
	require.Equal(t, weighed/len(subs[0].Query().String()), got)
	require.EqualValues(t, queries-got, server.Stats().OverBudget)
}
