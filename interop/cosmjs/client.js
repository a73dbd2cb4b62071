// An unmodified @cosmjs/tendermint-rpc against a node. It prints one JSON
// object with what it saw, after the node has told it that it drains.
//
//   node client.js ws://127.0.0.1:26657 EVENTS

import { Comet38Client } from "@cosmjs/tendermint-rpc";

const [url, count] = [process.argv[2], Number(process.argv[3])];

function take(stream, n, look) {
  return new Promise((resolve, reject) => {
    let seen = 0;
    const subscription = stream.subscribe({
      next: (event) => {
        try {
          look(event);
        } catch (error) {
          reject(error);
        }
        if (++seen === n) {
          subscription.unsubscribe();
          resolve();
        }
      },
      error: reject,
      complete: () => reject(new Error("the stream ended after " + seen)),
    });
  });
}

function follow(what) {
  let last = 0;
  return (height) => {
    if (last !== 0 && height !== last + 1) throw new Error(`${what} ${height} after ${last}`);
    last = height;
  };
}

const client = await Comet38Client.connect(url);
const status = await client.status();
if (status.nodeInfo.network !== "hark-1") throw new Error("network " + status.nodeInfo.network);

const [txs, blocks, headers] = [follow("tx"), follow("block"), follow("header")];
await Promise.all([
  take(client.subscribeTx(), count, (tx) => {
    if (new TextDecoder().decode(tx.tx) !== "tx-" + tx.height || tx.hash.length !== 32) throw new Error("tx " + tx.height);
    txs(tx.height);
  }),
  take(client.subscribeNewBlock(), 50, (block) => {
    if (block.txs.length !== 1 || block.header.version.block !== 11) throw new Error("block " + block.header.height);
    blocks(block.header.height);
  }),
  take(client.subscribeNewBlockHeader(), 50, (header) => {
    if (header.proposerAddress.length !== 20 || header.appHash.length !== 32) throw new Error("header " + header.height);
    headers(header.height);
  }),
]);

await new Promise((resolve, reject) => {
  let ready = false;
  client.subscribeNewBlock().subscribe({
    next: () => {
      if (!ready) console.log("ready"); // before, there is nobody to be told
      ready = true;
    },
    error: (error) => {
      console.log(JSON.stringify({ told: String(error.message ?? error) }));
      resolve();
    },
    complete: () => reject(new Error("the stream ended without a word")),
  });
});
client.disconnect();
process.exit(0);
