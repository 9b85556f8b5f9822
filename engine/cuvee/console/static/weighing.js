// The scores of a list under other weights: pure functions, exact for every blender of the engine.
//
// A contribution is the source's weight times a value that no weight changes (weighted sums with a prior or
// zero for missing opinions, reciprocal ranks, the learned blend), so the value is contribution / weight. The
// one exception is `missing = "skip"`, where the weights are renormalised for each item over the sources that
// have an opinion on it; it is recognised by the attributions themselves. Weights are renormalised over the
// live sources, as the server does.

const ROUNDING = 1e-4; // contributions are float32

/** An answer's n items and p sources as flat arrays; those that a fallback filled in cannot be weighed. */
export function weighable(answer) {
  const items = answer.items;
  const n = items.length;
  const p = answer.sources.length;
  const blended = items.map((item) => item.parts.length > 0 && !item.fallback);
  const weights = Float64Array.from(answer.sources, (source) => source.weight ?? 0);
  const live = answer.sources.map((source) => source.status === "LIVE" && source.weight > 0);
  const contributions = new Float64Array(n * p);
  const calibrated = new Float64Array(n * p).fill(NaN);
  const added = new Float64Array(n); // by rules: no weight changes it
  items.forEach((item, i) => {
    if (!blended[i]) return;
    for (const [, share] of item.rules) added[i] += share;
    for (const [s, , score, contribution] of item.parts) {
      contributions[i * p + s] = contribution;
      if (score !== null) calibrated[i * p + s] = score;
    }
  });
  const skips = n > 0 && isSkipping(n, p, weights, contributions, calibrated);
  const values = new Float64Array(n * p);
  for (let at = 0; at < n * p; at++) {
    const weight = weights[at % p];
    values[at] = skips ? calibrated[at] : weight > 0 ? contributions[at] / weight : 0;
  }
  const weighed = blended.filter(Boolean).length;
  const scores = items.filter((_, i) => blended[i]).map((item) => item.score);
  const rearranged = scores.some((score, at) => at > 0 && score > scores[at - 1] + 1e-6);
  return { items, blended, n, p, weights, live, values, added, skips, weighed: scores.length, rearranged };
}

/** Whether each item's weights are renormalised over the sources that have an opinion on it. */
function isSkipping(n, p, weights, contributions, calibrated) {
  let telling = false;
  for (let i = 0; i < n; i++) {
    let known = 0;
    let all = 0;
    for (let s = 0; s < p; s++) {
      all += weights[s];
      if (!Number.isNaN(calibrated[i * p + s])) known += weights[s];
    }
    for (let s = 0; s < p; s++) {
      const score = calibrated[i * p + s];
      const expected = Number.isNaN(score) || known === 0 ? 0 : (weights[s] * score) / known;
      const found = contributions[i * p + s];
      if (Math.abs(found - expected) > ROUNDING * Math.max(1, Math.abs(expected))) return false;
      telling ||= known > 0 && known < all - 1e-6;
    }
  }
  return telling;
}

/**
 * Scores and contributions under weights, and the items' order: as served under the weights of the product, with
 * what its rules moved; else by score. Equal ones, and those filled in, stay as they were served.
 */
export function weigh(list, weights) {
  const { n, p, values, live, skips, added, blended, items } = list;
  const asServed = list.weights.every((weight, s) => !live[s] || Math.abs(weights[s] - weight) < 1e-9);
  const used = Float64Array.from(weights, (weight, s) => (live[s] ? Math.max(weight, 0) : 0));
  let total = used.reduce((sum, weight) => sum + weight, 0);
  if (total <= 0) {
    live.forEach((is, s) => (used[s] = is ? 1 : 0));
    total = used.reduce((sum, weight) => sum + weight, 0);
  }
  const share = used.map((weight) => (total > 0 ? weight / total : 0));
  const scores = new Float64Array(n);
  const parts = new Float64Array(n * p);
  for (let i = 0; i < n; i++) {
    if (!blended[i]) {
      scores[i] = items[i].score;
      continue;
    }
    let known = 1;
    if (skips) {
      known = 0;
      for (let s = 0; s < p; s++) if (!Number.isNaN(values[i * p + s])) known += share[s];
    }
    let score = added[i];
    for (let s = 0; s < p; s++) {
      const value = values[i * p + s];
      const part = Number.isNaN(value) || known <= 0 ? 0 : (share[s] * value) / known;
      parts[i * p + s] = part;
      score += part;
    }
    scores[i] = score;
  }
  const order = Array.from({ length: n }, (_, i) => i);
  if (!asServed) order.sort((i, j) => blended[j] - blended[i] || (blended[i] ? scores[j] - scores[i] : 0) || i - j);
  const places = new Int32Array(n);
  order.forEach((i, place) => (places[i] = place));
  return { scores, parts, order, places, share, asServed };
}
