package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/harkbus/pubsub"
	"github.com/harkbus/pubsub/query"
)

func everybody(Identity) (*query.Query, error) { return nil, nil }

// An answeredError is what a request was answered with.
type answeredError struct{ Data string }

// presentAt asks who is there, by GET.
func presentAt(t *testing.T, r *rig, values url.Values, header http.Header) (present, *answeredError) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, r.http.URL+"/bus/presence?"+values.Encode(), nil)
	require.NoError(t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var answer struct {
		Result present
		Error  *answeredError
	}
	require.NoError(t, json.Unmarshal(body, &answer), string(body))
	return answer.Result, answer.Error
}

// presenceEvent returns what the next result says of presence.
func (p *peer) presenceEvent() (action string, events map[string][]string) {
	p.t.Helper()
	var message struct {
		Result struct {
			Events map[string][]string
			Data   struct{ Value map[string]string }
		}
	}
	text := p.receive()
	require.NoError(p.t, json.Unmarshal([]byte(text), &message), text)
	require.Equal(p.t, message.Result.Events[PresenceKey], []string{message.Result.Data.Value["action"]})
	return message.Result.Data.Value["action"], message.Result.Events
}

func TestWhoSubscribesIsSeenAndMentioned(t *testing.T) {
	r := newRig(t, Config{Presence: everybody, Identify: func(r *http.Request) (Identity, error) { return Identity{Name: r.Header.Get("Name")}, nil }})
	watcher := r.dial()
	watcher.subscribe("1", "hark.presence.topic = '/a/b'")

	ws, _, err := websocket.DefaultDialer.Dial(r.url("/a/b"), http.Header{RoleHeader: {RoleSubscriber}, NameHeader: {"phone"}, "Name": {"alice"}})
	require.NoError(t, err)
	action, events := watcher.presenceEvent()
	require.Equal(t, "join", action)
	require.Equal(t, []string{"alice"}, events[PresenceIdentityKey])
	require.Regexp(t, "^alice-[0-9a-f-]{36}/phone$", events[PresenceClientKey][0])

	other := r.dial() // the same by JSON-RPC, spelled in another way
	other.subscribe("1", "topic='/a/b'")
	action, _ = watcher.presenceEvent()
	require.Equal(t, "join", action)

	all, fault := presentAt(t, r, url.Values{"topic": {"/a/b"}}, nil)
	require.Nil(t, fault)
	require.Equal(t, 2, all.Total)
	require.Equal(t, "alice", all.Clients[0].Identity)
	same, fault := presentAt(t, r, url.Values{"query": {"topic  =  '/a/b'"}, "max_results": {"1"}}, nil)
	require.Nil(t, fault)
	require.Equal(t, present{Clients: all.Clients[:1], Total: 2, More: true}, same)
	rest, _ := presentAt(t, r, url.Values{"topic": {"/a/b"}, "after": {fmt.Sprint(same.Clients[0].Number)}}, nil)
	require.Equal(t, all.Clients[1:], rest.Clients)

	ws.Close()
	action, events = watcher.presenceEvent()
	require.Equal(t, "leave", action)
	require.Equal(t, []string{all.Clients[0].Client}, events[PresenceClientKey])
	require.Contains(t, other.call(`{"id":2,"method":"unsubscribe","params":{"query":"topic='/a/b'"}}`), `"result":{}`)
	action, _ = watcher.presenceEvent()
	require.Equal(t, "leave", action)
	require.Contains(t, other.call(`{"id":3,"method":"presence","params":{"topic":"/a/b"}}`), `{"clients":[],"total":0,"more":false}`)
	require.Contains(t, other.call(`{"id":4,"method":"presence","params":["hark.presence.topic = '/a/b'"]}`), `"total":1`)

	for _, values := range []url.Values{{}, {"topic": {"/a"}, "query": {"a=1"}}, {"query": {"a="}}, {"query": {strings.Repeat("x", 513)}}, {"topic": {"/a"}, "after": {"x"}}} {
		if values.Get("after") == "x" {
			response, err := http.Get(r.http.URL + "/presence?" + values.Encode())
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
			continue
		}
		_, fault := presentAt(t, r, values, nil)
		require.NotNil(t, fault, "%v", values)
	}
	http.DefaultClient.CloseIdleConnections()
}

// Who may not see presence sees it by no way in, and nobody forges it.
func TestPresenceIsForThoseWhoMaySeeIt(t *testing.T) {
	only := query.MustParse("hark.presence.topic = '/a'")
	r := newRig(t, Config{
		Presence: func(id Identity) (*query.Query, error) {
			switch id.Name {
			case "all":
				return nil, nil
			case "some":
				return only, nil
			}
			return nil, errors.New("no right")
		},
		Identify: func(r *http.Request) (Identity, error) { return Identity{Name: r.Header.Get("Name")}, nil },
	})
	connect := func(name string) *peer {
		ws, _, err := websocket.DefaultDialer.Dial(r.url("/websocket"), http.Header{"Name": {name}})
		require.NoError(t, err)
		t.Cleanup(func() { ws.Close() })
		p := &peer{t, ws}
		p.subscribe("1", "hark.presence EXISTS OR done EXISTS")
		return p
	}
	watchers := map[string]*peer{"all": connect("all"), "some": connect("some"), "none": connect("none")}
	first, _ := watchers["all"].presenceEvent()
	require.Equal(t, "join", first) // of the watchers, one by one or all
	for _, path := range []string{"/b", "/a"} {
		_, err := dialTopic(t, r, path, RoleSubscriber)
		require.NoError(t, err)
	}
	_, events := watchers["some"].presenceEvent()
	require.Equal(t, []string{"/a"}, events[PresenceTopicKey])
	for events[PresenceTopicKey] == nil || events[PresenceTopicKey][0] != "/a" {
		_, events = watchers["all"].presenceEvent()
	}
	r.publish("done", map[string][]string{"done": {"1"}})
	require.Contains(t, watchers["none"].receive(), `"value":"done"`, "nothing came before")
	require.Contains(t, watchers["none"].call(`{"id":2,"method":"events","params":{"filter":{"query":"hark.presence EXISTS"}}}`), `"items":[]`)

	for name, seen := range map[string][2]bool{"all": {true, true}, "some": {true, false}, "none": {false, false}} {
		for i, topic := range []string{"/a", "/b"} {
			_, fault := presentAt(t, r, url.Values{"topic": {topic}}, http.Header{"Name": {name}})
			require.Equal(t, seen[i], fault == nil, "%s %s", name, topic)
			if fault != nil {
				require.Contains(t, fault.Data, "not allowed")
			}
		}
	}
	response, err := http.Post(r.http.URL+"/publish", "application/json", strings.NewReader(`{"data":1,"events":{"hark.presence.client":"x"}}`))
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

func TestWithoutPresenceNothingIsTold(t *testing.T) {
	r := newRig(t, Config{})
	p := r.dial()
	p.subscribe("1", "hark.presence EXISTS")
	_, err := dialTopic(t, r, "/a", RoleSubscriber)
	require.NoError(t, err)
	require.Contains(t, p.call(`{"id":2,"method":"presence","params":{"topic":"/a"}}`), "presence is off")
	require.Zero(t, r.bus.Sequence())
}

func TestTokensGiveRightsToPresence(t *testing.T) {
	tokens := &Tokens{config: TokenConfig{PresenceClaim: "presence"}}
	sees := func(id Identity, events map[string][]string) bool {
		seen, err := tokens.Presence(id)
		if err != nil || seen == nil {
			return err == nil
		}
		ok, err := seen.Matches(events)
		return err == nil && ok
	}
	topic := (&member{subject: subjectOf("/a/b"), topic: "/a/b"}).events("join")
	asked := (&member{subject: "tm.event = 'Tx'"}).events("join")
	for _, c := range []struct {
		id           Identity
		topic, asked bool
	}{
		{Identity{}, false, false},
		{Identity{Admin: true}, true, true},
		{Identity{Claims: map[string]any{"presence": "*"}}, true, true},
		{Identity{Claims: map[string]any{"presence": "/a/*"}}, true, false},
		{Identity{Claims: map[string]any{"presence": []any{"/a/c", "/a/b"}}}, true, false},
		{Identity{Claims: map[string]any{"presence": "tm.event='Tx'"}}, false, true},
		{Identity{Claims: map[string]any{"presence": 7.0}}, false, false},
		{Identity{Claims: map[string]any{"publish": "*"}}, false, false},
	} {
		require.Equal(t, []bool{c.topic, c.asked}, []bool{sees(c.id, topic), sees(c.id, asked)}, "%v", c.id)
	}
}

// Whatever comes and goes, the list is right, changes are bounded, and what is
// lost of them is told.
func TestPresenceIsBounded(t *testing.T) {
	p := presence{server: &Server{}}
	p.server.config.Presence = everybody
	p.init(p.server)
	p.running = true // nobody publishes
	server := &Server{}
	server.config.Presence = everybody
	o := &outlet{key: "a = 1", conn: &connection{visit: &visit{server: server}}}
	var members []*member
	for range 3 * presenceChanges {
		members = append(members, p.enter(o))
	}
	for i, m := range members {
		if i%3 != 0 {
			p.leave(m)
		}
	}
	require.Len(t, p.changes, presenceChanges)
	require.Less(t, len(p.subjects["a = 1"].members), 2*presenceChanges+1)
	last := uint64(0)
	for n := 0; ; {
		page := p.of("a = 1", last, 1000)
		require.Equal(t, presenceChanges, page.Total)
		for _, c := range page.Clients {
			require.Equal(t, members[3*n].number, c.Number)
			last, n = c.Number, n+1
		}
		if !page.More {
			require.Equal(t, presenceChanges, n)
			break
		}
	}
	told, joined := 0, 0
	for batch := p.take(); batch != nil; batch = p.take() {
		require.LessOrEqual(t, len(batch), presenceBatch+1)
		for _, events := range batch {
			switch events[PresenceKey][0] {
			case "lost":
				told++
			case "join":
				joined++
			}
		}
	}
	require.Equal(t, 1, told)
	require.Less(t, joined, presenceChanges, "who has left before is not mentioned")
	p.running = true
	for i, m := range members {
		if i%3 == 0 {
			p.leave(m)
		}
	}
	require.Empty(t, p.subjects)
}

// Those who are cut because the drain is over leave like everybody.
func TestThoseWhoAreCutByTheDrainLeave(t *testing.T) {
	r := newRig(t, Config{Presence: func(Identity) (*query.Query, error) { return nil, nil }})
	changes := make(chan string, 100)
	r.bus.Observe(func(m pubsub.Message) {
		if action := m.Events()[PresenceKey]; action != nil {
			changes <- action[0]
		}
	})
	const n = 3
	for range n {
		r.dial().subscribe("1", "a=1")
	}
	for range n {
		require.Equal(t, "join", <-changes)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_ = r.server.Shutdown(over)
	leaves := 0
	for len(changes) > 0 {
		require.Equal(t, "leave", <-changes)
		leaves++
	}
	require.Equal(t, n, leaves)
}
