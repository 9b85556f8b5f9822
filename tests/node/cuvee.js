// A client for Node.js: the services of proto/cuvee/v1, their calls as promises.
//
//   import { connect } from "./cuvee.js";
//   const cuvee = connect("localhost:50051", "../../proto");
//   const answer = await cuvee.recommendations.recommend({ product: "movies", userId: "196" });

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const OPTIONS = { longs: Number, enums: String, defaults: true, oneofs: true };
const SECONDS = 5;

/** The stubs of all services on one channel; without `credentials` nothing is encrypted. */
export function connect(target, protos, credentials = grpc.credentials.createInsecure()) {
  const files = ["recommendation", "events", "catalog"].map((name) => `cuvee/v1/${name}.proto`);
  const { v1 } = grpc.loadPackageDefinition(loader.loadSync(files, { ...OPTIONS, includeDirs: [protos] })).cuvee;
  const stubs = {
    recommendations: new v1.RecommendationService(target, credentials),
    events: new v1.EventService(target, credentials),
    catalog: new v1.CatalogService(target, credentials),
  };
  return { ...Object.fromEntries(Object.entries(stubs).map(([name, stub]) => [name, promising(stub)])), close };

  function close() {
    Object.values(stubs).forEach((stub) => stub.close());
  }
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
