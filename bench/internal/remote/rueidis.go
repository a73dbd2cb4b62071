package remote

import "github.com/redis/rueidis"

// Rueidis is PUBLISH by the client that Hark uses, 64 to a pipeline, received
// by hooks on a connection of its own.
var Rueidis = Kind{Name: "rueidis PUBLISH", Open: openRueidis}

type raw struct {
	client  rueidis.Client
	reader  rueidis.DedicatedClient
	release func()
	payload string
}

func openRueidis(addr string, got func()) (Way, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		return nil, err
	}
	r := &raw{client: client, payload: string(payload())}
	r.reader, r.release = client.Dedicate()
	r.reader.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) { got() }})
	return r, r.reader.Do(background, r.reader.B().Subscribe().Channel("rueidis").Build()).Error()
}

func (r *raw) Publish(n int) error {
	return batches(n, func(n int) error {
		commands := make([]rueidis.Completed, n)
		for i := range commands {
			commands[i] = r.client.B().Publish().Channel("rueidis").Message(r.payload).Build()
		}
		return each(r.client, commands)
	})
}

func (r *raw) Close() error {
	r.reader.Close()
	r.release()
	r.client.Close()
	return nil
}
