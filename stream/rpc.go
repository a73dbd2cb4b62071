package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// An rpcError is the error of a JSON-RPC response, with the codes and texts of
// CometBFT.
type rpcError struct {
	code    int
	message string
	data    string // "": none
}

func (e *rpcError) Error() string { return "stream: " + e.message + ": " + e.data }

func parseError(err error) *rpcError {
	return &rpcError{-32700, "Parse error. Invalid JSON", "error unmarshaling request: " + brief(err)}
}

// maxEcho bounds what a client that sent something wrong is shown of it, in
// bytes.
const maxEcho = 256

func brief(err error) string { return truncateUTF8(err.Error(), maxEcho) }

func invalidRequest(data string) *rpcError { return &rpcError{-32600, "Invalid Request", data} }
func methodNotFound() *rpcError            { return &rpcError{-32601, "Method not found", ""} }
func internalError(data string) *rpcError  { return &rpcError{-32603, "Internal error", data} }
func serverError(data string) *rpcError    { return &rpcError{-32000, "Server error", data} }

// canceled is what a subscription's id is told when the server ends it.
func canceled(reason string) *rpcError {
	return serverError("subscription was canceled (reason: " + reason + ")")
}

// An rpcRequest is one request. Its id is encoded; nil if there is none, and
// then nobody waits for an answer.
type rpcRequest struct {
	id     []byte
	method string
	params json.RawMessage
}

// decodeRequest reads the first JSON value of a message.
func decodeRequest(payload []byte) (rpcRequest, *rpcError) {
	var wire struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(bytes.NewReader(payload)).Decode(&wire); err != nil {
		return rpcRequest{}, parseError(err)
	}
	id, err := decodeID(wire.ID)
	if err == nil && max(len(wire.ID), len(id)) > maxID {
		err = fmt.Errorf("json-rpc ID is longer than %d bytes", maxID)
	}
	if err != nil {
		return rpcRequest{}, parseError(err)
	}
	return rpcRequest{id: id, method: wire.Method, params: wire.Params}, nil
}

// maxID bounds an id, as JSON, in bytes: a subscription sends it with every
// result.
const maxID = 256

// decodeID returns an id as it is sent back: a string, or an integer, which a
// number is truncated to.
func decodeID(raw json.RawMessage) ([]byte, error) {
	if len(raw) == 0 || raw[0] == 'n' {
		return nil, nil
	}
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		return appendString(nil, s), nil
	case 't', 'f':
		return nil, fmt.Errorf("json-rpc ID (%s) is of unknown type (bool)", raw)
	case '[', '{':
		return nil, fmt.Errorf("json-rpc ID is of unknown type (%s)", map[byte]string{'[': "array", '{': "object"}[raw[0]])
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return strconv.AppendInt(nil, n, 10), nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != f || f < math.MinInt64 || f >= math.MaxInt64 {
		return nil, fmt.Errorf("json-rpc ID (%.40s) is out of range", raw)
	}
	return strconv.AppendInt(nil, int64(f), 10), nil
}

// appendResult appends a response; result is JSON.
func appendResult(dst, id, result []byte) []byte {
	dst = append(append(append(dst, `{"jsonrpc":"2.0","id":`...), id...), `,"result":`...)
	return append(append(dst, result...), '}')
}

// appendError appends an error response; a nil id is sent as null.
func appendError(dst, id []byte, e *rpcError) []byte {
	if id == nil {
		id = []byte("null")
	}
	dst = append(append(append(dst, `{"jsonrpc":"2.0","id":`...), id...), `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.code), 10)
	dst = appendString(append(dst, `,"message":`...), e.message)
	if e.data != "" {
		dst = appendString(append(dst, `,"data":`...), e.data)
	}
	return append(dst, `}}`...)
}
