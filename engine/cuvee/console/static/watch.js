// Watch: health of products, and the server's figures, looked at again every few seconds.

import { lines } from "./charts.js";
import { card, el, fetched, figure, mark, named, showProblem, t, tableCard, wide } from "./page.js";

const EVERY = 5000;
const cards = document.getElementById("cards");

function health(products) {
  const words = { SERVING: ["good", "serving"], NOT_SERVING: ["bad", "not_serving"] };
  const rows = products.map(({ name, state }) => {
    const [kind, word] = words[state] ?? ["", "unknown"];
    return [name, el("span", { class: `state ${kind}` }, t(`watch.${word}`))];
  });
  return tableCard(t("watch.health"), [t("watch.product"), t("watch.state")], rows);
}

function sinceStart(found) {
  const facts = [
    ["requests", figure(found.requests)],
    ["errors", figure(found.errors)],
    ["lists", figure(found.lists)],
    ["degraded", figure(found.degraded)],
    ["median", found.p50 === null ? "–" : `${figure(found.p50, 1)} ms`],
    ["p99", found.p99 === null ? "–" : `${figure(found.p99, 1)} ms`],
    ["queue", figure(found.waiting)],
  ];
  return card(
    t("watch.now"),
    el("dl", { class: "facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, t(`watch.${name}`)), el("dd", {}, value)))),
    found.store === 0 ? el("p", { class: "remark bad" }, t("watch.store_down")) : null,
  );
}

function lastHour(points) {
  if (!points.length) return card(t("watch.hour"), el("p", { class: "quiet" }, t("watch.no_points")));
  const charts = [
    ["rate", [points.map((point) => point.rate)], 1],
    ["latency", [points.map((point) => point.p50), points.map((point) => point.p99)], 1],
    ["error_rate", [points.map((point) => point.errors)], 2],
    ["waiting_rows", [points.map((point) => point.waiting)], 0],
    ["degraded_share", [points.map((point) => (point.degraded === null ? null : 100 * point.degraded))], 1],
  ];
  return card(
    t("watch.hour"),
    el("div", { class: "charts" }, ...charts.map(([name, series, decimals]) => {
      const { drawn, words } = lines(t(`watch.${name}`), series, decimals);
      return el("figure", {}, el("figcaption", {}, t(`watch.${name}`), " ", el("span", { class: "quiet" }, words)), drawn);
    })),
  );
}

function shown(of) {
  if (!of.length) return card(t("watch.shown"), el("p", { class: "quiet" }, t("watch.no_lists")));
  return card(t("watch.shown"), ...of.map(({ product, sources }) => {
    const names = Object.keys(sources);
    const total = names.reduce((sum, name) => sum + sources[name], 0) || 1;
    const bar = el("div", { class: "share bar", "aria-hidden": "true" });
    const parts = names.map((name, at) => {
      const { colour, letter } = mark(at);
      const part = el("i", { class: colour }, letter);
      part.style.width = `${(100 * sources[name]) / total}%`;
      if (sources[name] / total < 0.04) part.className += " thin";
      bar.append(part);
      return el("li", {}, named(name, at), " ", el("span", { class: "number" }, `${figure((100 * sources[name]) / total, 1)} %`));
    });
    return el("div", { class: "shown" }, el("h3", {}, product), bar, el("ul", { class: "legend" }, ...parts));
  }));
}

function sources(found) {
  const heads = ["product", "source", "runs", "mean", "breaker", "failed"].map((name) => t(`watch.${name}`));
  const rows = found.map((one) => [
    one.product,
    one.source,
    figure(one.runs),
    figure(one.milliseconds, 2),
    el("span", { class: one.left_alone ? "state bad" : "state good" }, t(one.left_alone ? "watch.open" : "watch.closed")),
    el("span", { class: Object.keys(one.failed).length ? "bad" : "" }, Object.entries(one.failed).map(([why, n]) => `${why} ${figure(n)}`).join(", ") || "–"),
  ]);
  return tableCard(t("watch.sources"), heads, rows, new Set([2, 3]));
}

function models(found, snapshots) {
  const heads = ["product", "source", "plugin", "version", "state"].map((name) => t(`watch.${name}`));
  const rows = found.map((one) => [
    one.product,
    one.source,
    `${one.plugin} ${one.plugin_version}`,
    one.version,
    el("span", { class: one.loaded ? "state good" : "state bad" }, t(one.loaded ? "watch.loaded" : "watch.not_loaded")),
  ]);
  const about = snapshots.map(({ product, version, revision }) => `${product}: ${version} · ${revision}`).join(", ");
  return tableCard(t("watch.models"), heads, rows, new Set(), about);
}

function fallback(found) {
  if (!found.length) return null;
  const heads = ["product", "level", "items"].map((name) => t(`watch.${name}`));
  return tableCard(t("watch.fallback"), heads, found.map((one) => [one.product, one.level, figure(one.items)]), new Set([2]));
}

function show(found) {
  const made = [wide(4, health(found.products))];
  const figures = found.figures;
  if (!found.metrics) made.push(wide(8, card(t("watch.now"), el("p", {}, t("watch.no_metrics")))));
  else if (found.problem) made.push(wide(8, card(t("watch.now"), el("p", { class: "bad" }, t("watch.problem", { problem: found.problem })))));
  else if (!figures) made.push(wide(8, card(t("watch.now"), el("p", {}, t("watch.waiting")))));
  if (figures && !found.problem) {
    made.push(
      wide(8, sinceStart(figures)),
      wide(12, lastHour(found.points)),
      wide(12, shown(figures.shown)),
      wide(6, sources(figures.sources)),
      wide(6, models(figures.models, figures.snapshots)),
      wide(6, fallback(figures.fallback)),
    );
  }
  // whoever reads with the keyboard inside of a table is not thrown out of it
  if (!cards.contains(document.activeElement)) cards.replaceChildren(...made.filter(Boolean));
}

async function look() {
  try {
    show(await fetched("/api/watch"));
    showProblem(null);
  } catch (problem) {
    showProblem(problem);
  }
  setTimeout(look, EVERY);
}

look();
