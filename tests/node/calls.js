// Makes the main calls against a server and prints what came back, as one JSON object:
//
//   node calls.js localhost:50051 ../../proto PRODUCT ITEM

import { once } from "node:events";
import { connect } from "./cuvee.js";

const [target, protos, product, itemId] = process.argv.slice(2);
const cuvee = connect(target, protos, { token: process.env.CUVEE_TOKEN });
const event = (eventId, more = {}) => ({ product, userId: "node", itemId, type: "EVENT_TYPE_CLICK", eventId, ...more });
const found = {};

const before = await cuvee.recommendations.recommend({ product, userId: "node", pageSize: 30 });
found.before = { known: before.userKnown, items: before.items.map((item) => item.itemId) };

const written = await cuvee.events.writeEvents({ events: [event("node-1"), event("node-2", { itemId: "" })] });
found.written = written.results.map((result) => [result.outcome, result.problem?.field ?? null]);

const after = await cuvee.recommendations.recommend({ product, userId: "node", pageSize: 30 });
found.after = { known: after.userKnown, items: after.items.map((item) => item.itemId) };

// each event is acknowledged before the next one is sent
const stream = cuvee.events.streamEvents();
found.acknowledged = [];
for (let sequence = 1; sequence <= 3; sequence++) {
  stream.write({ sequence, event: event(`node-stream-${sequence}`) });
  const [answer] = await once(stream, "data");
  found.acknowledged.push([answer.sequence, answer.result.outcome]);
}
stream.end();
await once(stream, "end");

const visit = { userId: "", sessionId: "node-visitor" };
await cuvee.events.writeEvents({ events: [event("node-visit", visit)] });
const merged = await cuvee.events.mergeUsers({ product, anonymousId: visit.sessionId, userId: "node" });
found.merged = merged.movedEventCount;

const upserted = await cuvee.catalog.upsertItem({
  product,
  item: { itemId: "from-node", title: "Nœud", attributes: { year: { number: 2001 }, genres: { texts: { values: ["Noir"] } } } },
});
found.upserted = [upserted.outcome, upserted.item.title, upserted.item.attributes.year.number];
const listed = await cuvee.catalog.listItems({ product, filter: "year = 2001", pageSize: 5 });
found.listed = listed.items.map((item) => item.itemId);

found.deleted = (await cuvee.catalog.deleteItem({ product, itemId: "from-node" })).deleted;

found.exported = [];
for await (const record of cuvee.catalog.exportUser({ product, userId: "node" })) found.exported.push(record.record);

const deleted = await cuvee.catalog.deleteUser({ product, userId: "node" });
found.complete = deleted.complete;

try {
  await cuvee.recommendations.recommend({ product, userId: "node", pageSize: -1 });
} catch (problem) {
  found.refused = [problem.code, problem.details];
}
cuvee.close();
console.log(JSON.stringify(found));
