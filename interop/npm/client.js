// Clients of npm that follow a query. What they tell is on standard output, a
// line each.
//
//   node client.js 127.0.0.1:26657

import { EventSource } from "eventsource";
import ReconnectingWebSocket from "reconnecting-websocket";
import { Client } from "rpc-websockets";
import WebSocket from "ws";
import { followEvents, followSocket, query } from "./follow.js";

const bus = process.argv[2];
const tell = (client) => (step) => console.log(JSON.stringify({ client, ...step }));

followEvents(EventSource, bus, tell("eventsource"));

const socket = new ReconnectingWebSocket(`ws://${bus}/websocket`, [], { WebSocket, maxReconnectionDelay: 1000, minReconnectionDelay: 100 });
followSocket({ cursor: "" }, socket, tell("reconnecting-websocket"));

// rpc-websockets takes one result for each request, so it pulls.
function followPulls(tell) {
  const rpc = new Client(`ws://${bus}/websocket`, { reconnect_interval: 200, max_reconnects: 0 });
  rpc.on("error", () => {}); // it connects again

  // since returns what came after a cursor, of which the newest comes first.
  async function since(after) {
    const params = { filter: { query }, after_item: after, wait_time: 5e8 };
    const first = await rpc.call("events", params, 3_000);
    let [items, page] = [first.items, first];
    while (page.more) {
      page = await rpc.call("events", { ...params, before_item: items.at(-1).cursor }, 3_000);
      items = items.concat(page.items);
    }
    return { items: items.reverse(), gap: page.gap, newest: first.newest_item };
  }

  rpc.once("open", async () => {
    let after = (await rpc.call("events", { max_results: 1 })).newest_item;
    tell({ open: true });
    rpc.on("open", () => tell({ open: true }));
    for (;;) {
      try {
        const { items, gap, newest } = await since(after);
        after = newest;
        if (gap) tell({ gap });
        for (const { cursor, data } of items) tell({ n: data.value, cursor });
      } catch {
        await new Promise((again) => setTimeout(again, 50)); // no connection, or no answer: the same once more
      }
    }
  });
}
followPulls(tell("rpc-websockets"));
