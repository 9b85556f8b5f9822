// A recommender for Cuvée: what is often taken together with the items of a history, and what is popular.
//
//   node recommender.js 127.0.0.1:50071 ../../../../proto
//
// It implements cuvee.v1.RecommenderService; recommender.proto says what each field must be. Models are kept in
// memory here, so they are gone with the process; a real one would write them to the disk.

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { float32, int32, read, row } from "./arrays.js";

const [address, protos] = process.argv.slice(2);
const files = { longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: [protos] };
const { v1 } = grpc.loadPackageDefinition(loader.loadSync("cuvee/v1/recommender.proto", files)).cuvee;
const refuse = (code, details) => Object.assign(new Error(details), { code, details });

const catalogues = new Map(); // key -> item ids
const models = new Map(); // name -> model

function catalogue(key) {
  if (!catalogues.has(key)) throw refuse(grpc.status.FAILED_PRECONDITION, "this catalogue is not open here");
  return catalogues.get(key);
}

function model(name) {
  const found = name ? models.get(name) : [...models.values()].findLast((one) => !one.apart);
  if (!found) throw refuse(grpc.status.NOT_FOUND, `there is no model ${name}`);
  return found;
}

/** How often each item was liked, and with which others: by the ids of the catalogue that it was learnt on. */
function learn(start, ids, users, items, weights) {
  const { neighbours = 50 } = JSON.parse(start.optionsJson || "{}");
  const counts = new Float32Array(ids.length);
  const together = ids.map(() => new Map());
  for (let at = 0; at < users.length; ) {
    let end = at;
    while (end < users.length && users[end] === users[at]) end++;
    const liked = [...new Set(items.slice(at, end).filter((_, n) => weights[at + n] > 0))];
    for (const one of liked) {
      counts[one]++;
      for (const other of liked) if (other !== one) together[one].set(other, (together[one].get(other) ?? 0) + 1);
    }
    at = end;
  }
  const best = together.map((others) => new Map([...others].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, neighbours)));
  return { name: String(models.size + 1), apart: start.apart, n: ids.length, counts, best };
}

/** float32[N]: the scores of all items of the model for one query. */
function scores({ n, counts, best }, history, weights) {
  const found = new Float32Array(n);
  for (let item = 0; item < n; item++) found[item] = counts[item] / 1e4;
  history.forEach((item, at) => {
    if (item >= n || weights[at] <= 0) return;
    for (const [other, times] of best[item]) found[other] += (weights[at] * times) / Math.sqrt(counts[item] * counts[other]);
  });
  return found;
}

/** For each query its scores of all items, its excluded items, and which items may be proposed. */
function* asked(request) {
  const known = model(request.model);
  const n = catalogue(request.catalogue).length;
  const { queries } = request;
  const [offsets, items, weights, excludedOffsets, excluded] = [
    queries.offsets, queries.items, queries.weights, queries.excludedOffsets, queries.excludedItems,
  ].map(read);
  const may = (item) => !queries.eligible.length || (queries.eligible[item >> 3] >> (item & 7)) & 1;
  for (let b = 0; b < queries.userIds.length; b++) {
    const [from, to] = [offsets[b], offsets[b + 1]];
    const all = scores(known, items.subarray(from, to), weights.subarray(from, to));
    yield { b, known, n, all, may, excluded: new Set(excluded.subarray(excludedOffsets[b], excludedOffsets[b + 1])) };
  }
}

const service = {
  describe: () => ({
    serves: ["QUERY_KIND_KNOWN_USER", "QUERY_KIND_SESSION", "QUERY_KIND_COLD_USER"], fits: true, explains: true,
  }),

  openCatalogue(requests) {
    const { catalogue: key, extends: begins } = requests[0];
    const ids = [...(begins ? catalogue(begins) : []), ...requests.flatMap((one) => one.itemIds)];
    if (ids.length !== requests.at(-1).size) throw refuse(grpc.status.INVALID_ARGUMENT, `${ids.length} ids came`);
    catalogues.set(key, ids);
    return { size: ids.length };
  },

  fit(requests) {
    const { start } = requests[0];
    const events = (name) => requests.filter((one) => one.users).flatMap((one) => [...read(one[name])]);
    const made = learn(start, catalogue(start.catalogue), events("users"), events("items"), events("weights"));
    models.set(made.name, made);
    return { model: made.name };
  },

  candidates(request) {
    const rows = [];
    for (const { known, all, may, excluded } of asked(request)) {
      const items = [...all.keys()].filter((item) => known.counts[item] && may(item) && !excluded.has(item));
      rows.push(items.sort((a, b) => all[b] - all[a] || a - b).slice(0, request.k).map((item) => [item, all[item]]));
    }
    const k = Math.max(0, ...rows.map((found) => found.length));
    const filled = rows.flatMap((found) => [...found, ...Array(k - found.length).fill([-1, NaN])]);
    const [items, values] = [0, 1].map((part) => filled.map((pair) => pair[part]));
    return { items: int32([rows.length, k], items), scores: float32([rows.length, k], values), model: request.model };
  },

  score(request) {
    const wanted = read(request.items);
    const [b, m] = request.items.shape;
    const found = new Float32Array(b * m).fill(NaN);
    for (const { b: at, known, all } of asked(request)) {
      row(wanted, at, m).forEach((item, column) => {
        if (item >= 0 && item < known.n && known.counts[item]) found[at * m + column] = all[item];
      });
    }
    return { scores: float32([b, m], found), model: request.model };
  },

  explain(request) {
    const [rows, items, offsets, history] = [request.rows, request.items, request.queries.offsets, request.queries.items].map(read);
    const { n, counts, best } = model(request.model);
    const why = (item, b) => {
      if (item >= n || !counts[item]) return "";
      const others = [...history.subarray(offsets[b], offsets[b + 1])].filter((other) => best[other]?.has(item)).length;
      return others ? `often taken with ${others} of yours` : `taken by ${counts[item]} people`;
    };
    return { reasons: [...items].map((item, at) => why(item, rows[at])) };
  },
};

/** A handler of gRPC: the request, or all of them, goes to a method of `service`; what that throws is the status. */
const unary = (method) => (call, answer) => {
  try {
    answer(null, method(call.request));
  } catch (problem) {
    answer(problem.code ? problem : refuse(grpc.status.INTERNAL, "the recommender failed"));
    if (!problem.code) console.error(problem);
  }
};
const streamed = (method) => (call, answer) => {
  const requests = [];
  call.on("data", (one) => requests.push(one));
  call.on("end", () => unary(method)({ request: requests }, answer));
};

const server = new grpc.Server();
const { openCatalogue, fit, ...others } = service;
server.addService(v1.RecommenderService.service, {
  openCatalogue: streamed(openCatalogue), fit: streamed(fit),
  ...Object.fromEntries(Object.entries(others).map(([name, method]) => [name, unary(method)])),
});
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (problem) => {
  if (problem) throw problem;
});
