package feed

import (
	"encoding/base64"
	"fmt"
	"iter"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The results of a block, as Tendermint 0.34 to CometBFT 1.0 answer to
// block_results. Up to 0.37 the block's own events come in two phases, and up
// to 0.34 keys and values of attributes are base64.
type blockResults struct {
	Height              jsontext.Value `json:"height"`
	TxsResults          []txResult     `json:"txs_results"`
	BeginBlockEvents    []abciEvent    `json:"begin_block_events"`
	EndBlockEvents      []abciEvent    `json:"end_block_events"`
	FinalizeBlockEvents []abciEvent    `json:"finalize_block_events"`
}

type txResult struct {
	Code    jsontext.Value `json:"code"`
	GasUsed jsontext.Value `json:"gas_used"`
	Events  []abciEvent    `json:"events"`
}

type abciEvent struct {
	Type       string      `json:"type"`
	Attributes []attribute `json:"attributes"`
}

type attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// What is printed as data of a publication that is part of a block.
type (
	txData struct {
		Height  string         `json:"height"`
		Index   int            `json:"index"`
		Code    jsontext.Value `json:"code,omitempty"`
		GasUsed jsontext.Value `json:"gas_used,omitempty"`
	}
	blockEventData struct {
		Height string `json:"height"`
		Phase  string `json:"phase"`
		Index  int    `json:"index"`
		Type   string `json:"type"`
	}
)

// AppendLine appends the publication as one compact line, without its end, in
// the form that a Decoder reads. Of a publication that is a line by itself it
// appends that line, unchanged.
func (p Publication) AppendLine(b, line []byte) ([]byte, error) {
	if p.data == nil {
		return append(b, line...), nil
	}
	compact, err := json.Marshal(struct {
		Events map[string][]string `json:"events"`
		Data   any                 `json:"data"`
	}{p.Events, p.data}, json.Deterministic(true))
	if err != nil {
		return b, fmt.Errorf("feed: %w", err)
	}
	return append(b, compact...), nil
}

// decodeBlock returns the publications of a block, in the order in which it
// was executed.
func decodeBlock(line []byte) (iter.Seq[Publication], error) {
	var answer struct {
		Result *blockResults `json:"result"`
		blockResults
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return nil, fmt.Errorf("feed: not the results of a block: %w", err)
	}
	if answer.Result == nil {
		answer.Result = &answer.blockResults
	}
	r := answer.Result
	if len(r.Height) > longestHeight {
		return nil, fmt.Errorf("feed: a height of %d bytes: it is a number of at most 19 digits", len(r.Height))
	}
	r.decodeAttributes()
	return r.publications, nil
}

// longestHeight is how long a height may be: every part of a block repeats it.
const longestHeight = 32 // bytes

func (r *blockResults) publications(yield func(Publication) bool) {
	height := unquote(r.Height)
	if !yieldBlockEvents(yield, height, "begin_block_events", r.BeginBlockEvents) {
		return
	}
	for i, tx := range r.TxsResults {
		if !yield(tx.publication(height, i)) {
			return
		}
	}
	_ = yieldBlockEvents(yield, height, "end_block_events", r.EndBlockEvents) &&
		yieldBlockEvents(yield, height, "finalize_block_events", r.FinalizeBlockEvents)
}

func (tx txResult) publication(height string, index int) Publication {
	events := map[string][]string{"tm.event": {"Tx"}, "tx.height": {height}}
	for _, e := range tx.Events {
		e.addTo(events)
	}
	return Publication{Events: events, data: txData{height, index, tx.Code, tx.GasUsed}}
}

func yieldBlockEvents(yield func(Publication) bool, height, phase string, blockEvents []abciEvent) bool {
	for i, e := range blockEvents {
		events := map[string][]string{"tm.event": {"NewBlock"}, "block.height": {height}}
		e.addTo(events)
		if !yield(Publication{Events: events, data: blockEventData{height, phase, i, e.Type}}) {
			return false
		}
	}
	return true
}

// addTo adds the attributes as a node does: those without a type or a key do
// not count.
func (e abciEvent) addTo(events map[string][]string) {
	for _, a := range e.Attributes {
		if e.Type != "" && a.Key != "" {
			key := e.Type + "." + a.Key
			events[key] = append(events[key], a.Value)
		}
	}
}

// attributes calls yield for each attribute of the block until it returns
// false.
func (r *blockResults) attributes(yield func(*attribute) bool) {
	groups := [][]abciEvent{r.BeginBlockEvents, r.EndBlockEvents, r.FinalizeBlockEvents}
	for _, tx := range r.TxsResults {
		groups = append(groups, tx.Events)
	}
	for _, group := range groups {
		for _, e := range group {
			for i := range e.Attributes {
				if !yield(&e.Attributes[i]) {
					return
				}
			}
		}
	}
}

// decodeAttributes decodes keys and values if they are base64, which is so if
// every key of the block decodes to a word.
func (r *blockResults) decodeAttributes() {
	for a := range r.attributes {
		if key, ok := fromBase64(a.Key); !ok || !isWord(key) {
			return
		}
	}
	for a := range r.attributes {
		a.Key, _ = fromBase64(a.Key)
		if value, ok := fromBase64(a.Value); ok && utf8.ValidString(value) {
			a.Value = value
		}
	}
}

func fromBase64(s string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err == nil
}

func isWord(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) || r == ' ' {
			return false
		}
	}
	return s != ""
}

// unquote returns a string or number of JSON as its text.
func unquote(v jsontext.Value) string {
	if v.Kind() != '"' {
		return string(v)
	}
	text, _ := jsontext.AppendUnquote(nil, v) // valid: it was read as a value
	return string(text)
}
