// How to follow a query without loss: what a page does with the browser's own
// EventSource and WebSocket, and node with those of npm. Each tells what it
// gets, {open}, {n, cursor}, {gap} or {error}.

export const query = "interop.n > 0";

export function followEvents(EventSource, bus, tell) {
  const source = new EventSource(`http://${bus}/events?query=${encodeURIComponent(query)}`);
  source.addEventListener("open", () => tell({ open: true }));
  source.addEventListener("message", (event) => tell({ n: JSON.parse(event.data).data.value, cursor: event.lastEventId }));
  source.addEventListener("gap", (event) => tell({ gap: JSON.parse(event.data) }));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) tell({ error: "EventSource has given up" });
  });
}

// followSocket follows on a WebSocket, which may be one that opens again, from a
// place, which the next WebSocket goes on from.
export function followSocket(place, socket, tell) {
  let begun;
  socket.addEventListener("open", () => {
    begun = false;
    socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "subscribe", params: { query, after: place.cursor } }));
  });
  socket.addEventListener("message", (message) => {
    const { error, result } = JSON.parse(message.data);
    if (error) return tell({ error: JSON.stringify(error) });
    place.cursor = result.cursor;
    if (!begun) tell({ open: true });
    begun = true;
    if (result.gap) tell({ gap: result.gap });
    if (result.data) tell({ n: result.data.value, cursor: result.cursor });
  });
}
