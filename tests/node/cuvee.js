// A client for Node.js: the services of proto/cuvee/v1, their calls as promises.
//
//   import { connect } from "./cuvee.js";
//   const cuvee = connect("localhost:50051", "../../proto");
//   // with a token, and encrypted:
//   // connect(target, protos, { token: process.env.CUVEE_TOKEN, credentials: grpc.credentials.createSsl(ca) })
//   const answer = await cuvee.recommendations.recommend({ product: "movies", userId: "196" });

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const OPTIONS = { longs: Number, enums: String, defaults: true, oneofs: true };
const SECONDS = 5;
// what is refused or cannot be reached is asked again, at most a tenth of all calls; dead connections are found
const retryPolicy = (...codes) => (
  { maxAttempts: 4, initialBackoff: "0.05s", maxBackoff: "1s", backoffMultiplier: 3, retryableStatusCodes: codes }
);
const named = (...services) => services.map((name) => ({ service: `cuvee.v1.${name}` }));
const CONFIG = {
  methodConfig: [
    {
      name: named("RecommendationService", "CatalogService"),
      retryPolicy: retryPolicy("UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"),
    },
    { name: named("EventService"), retryPolicy: retryPolicy("RESOURCE_EXHAUSTED") },
  ],
  retryThrottling: { maxTokens: 10, tokenRatio: 0.1 },
};
const CHANNEL = {
  "grpc.service_config": JSON.stringify(CONFIG),
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 300,
};

/** The stubs of all services; without `credentials` nothing is encrypted, without `token` callers are anonymous. */
export function connect(target, protos, { token, credentials = grpc.credentials.createInsecure() } = {}) {
  const files = ["recommendation", "events", "catalog"].map((name) => `cuvee/v1/${name}.proto`);
  const { v1 } = grpc.loadPackageDefinition(loader.loadSync(files, { ...OPTIONS, includeDirs: [protos] })).cuvee;
  const options = { ...CHANNEL, interceptors: token ? [carrying(token)] : [] };
  const stubs = {
    recommendations: new v1.RecommendationService(target, credentials, options),
    events: new v1.EventService(target, credentials, options),
    catalog: new v1.CatalogService(target, credentials, options),
  };
  return { ...Object.fromEntries(Object.entries(stubs).map(([name, stub]) => [name, promising(stub)])), close };

  function close() {
    Object.values(stubs).forEach((stub) => stub.close());
  }
}

/** Sends a token with each call. */
function carrying(token) {
  const start = (metadata, listener, next) => {
    metadata.set("authorization", `Bearer ${token}`);
    next(metadata, listener);
  };
  return (options, nextCall) => new grpc.InterceptingCall(nextCall(options), { start });
}

/** Calls with one answer return promises; streams stay what gRPC makes of them. */
function promising(stub) {
  return new Proxy(stub, {
    get(target, name) {
      const method = target[name];
      if (typeof method !== "function" || method.path === undefined) return method;
      if (method.requestStream || method.responseStream) return method.bind(target);
      return (request) =>
        new Promise((resolve, reject) => {
          const deadline = new Date(Date.now() + 1000 * SECONDS);
          target[name](request, { deadline }, (problem, answer) => (problem ? reject(problem) : resolve(answer)));
        });
    },
  });
}
