// Understand: what `cuvee evaluate --json` measured.

import { interval } from "./charts.js";
import { card, el, fetched, figure, showProblem, signed, t, tableCard } from "./page.js";

const cards = document.getElementById("cards");
const LABELS = { ndcg: "NDCG", hit_rate: "HR", recall: "Recall", precision: "P", mrr: "MRR", map: "MAP" };
const BEYOND = ["coverage", "popularity", "novelty", "diversity", "gini", "fallback", "empty"];

function span(found) {
  return found.low === null || found.high === null ? "–" : `${figure(found.low, 4)} – ${figure(found.high, 4)}`;
}

function accuracy(round) {
  const metric = round.primary;
  const rows = round.rows.filter((row) => row.kind !== "without" && row.figures.means[metric]);
  const means = rows.map((row) => row.figures.means[metric]);
  const ends = means.flatMap((found) => [found.low ?? found.mean, found.high ?? found.mean]);
  const [low, high] = [Math.min(...ends, 0), Math.max(...ends)];
  const label = `${LABELS[metric] ?? metric}@${round.k}`;
  return tableCard(
    `${t("understand.accuracy")}: ${label}`,
    [t("understand.row"), t("understand.kind"), t("understand.mean"), t("understand.interval"), t("understand.drawn")],
    rows.map((row, at) => [row.name, t(`understand.${row.kind}`), figure(means[at].mean, 4), span(means[at]), interval(means[at], low, high, row.kind)]),
    new Set([2, 3]),
    t("understand.accuracy_about", { metric: label }),
  );
}

function worth(round) {
  const without = new Map(round.rows.filter((row) => row.kind === "without").map((row) => [row.name, row.source]));
  const found = round.comparisons.filter((one) => without.has(one.second) && !one.segment && one.metric === round.primary);
  if (!found.length) return null;
  const ends = found.flatMap(({ found: { difference } }) => [difference.low, difference.high]);
  const [low, high] = [Math.min(...ends, 0), Math.max(...ends, 0)];
  return tableCard(
    t("understand.worth"),
    [t("watch.source"), t("understand.mean"), t("understand.interval"), t("understand.drawn")],
    found.map((one) => {
      const { difference } = one.found;
      return [without.get(one.second), signed(difference.mean, 4), `${signed(difference.low, 4)} – ${signed(difference.high, 4)}`, interval(difference, low, high, difference.low > 0 ? "blend" : difference.high < 0 ? "harm" : "member")];
    }),
    new Set([1, 2]),
    t("understand.worth_about"),
  );
}

function bySegment(round) {
  const segments = round.segments.filter((segment) => segment.n_users > 0);
  if (segments.length < 2) return null;
  const rows = round.rows.filter((row) => row.kind !== "without");
  return tableCard(
    t("understand.by_segment"),
    [t("understand.row"), ...segments.map((one) => `${one.name} (${t("understand.users", { n: figure(one.n_users) })})`)],
    rows.map((row) => [row.name, ...segments.map((one) => {
      const found = row.segments[one.name]?.means[round.primary];
      return found ? el("span", { title: span(found) }, figure(found.mean, 4)) : "–";
    })]),
    new Set(segments.map((_, at) => at + 1)),
  );
}

function beyond(round) {
  const rows = round.rows.filter((row) => row.kind !== "without");
  const names = BEYOND.filter((name) => rows.some((row) => Number.isFinite(row.figures.means[name]?.mean)));
  if (!names.length) return null;
  return tableCard(
    t("understand.beyond"),
    [t("understand.row"), ...names],
    rows.map((row) => [row.name, ...names.map((name) => figure(row.figures.means[name]?.mean, 3))]),
    new Set(names.map((_, at) => at + 1)),
  );
}

function shown({ file, report, problem }) {
  if (problem) return [el("p", { class: "remark bad" }, t("understand.problem", { file, problem }))];
  const facts = [t("understand.protocol", { name: report.protocol }), t("understand.users", { n: figure(report.n_users) }), file];
  return [
    el("div", { class: "report" }, el("h2", {}, report.product), el("p", { class: "quiet" }, facts.join(" · "))),
    ...report.rounds.flatMap((round) => [
      report.rounds.length > 1 ? el("h3", { class: "report" }, round.name) : null,
      accuracy(round), worth(round), bySegment(round), beyond(round),
    ]),
    report.notes?.length ? card(t("understand.notes"), el("ul", {}, ...report.notes.map((note) => el("li", {}, note)))) : null,
  ];
}

try {
  const { reports } = await fetched("/api/reports");
  const none = card(t("page.understand"), el("p", {}, t("understand.none")), el("pre", { tabindex: "0" }, "cuvee evaluate movies --json > figures.json\ncuvee console --report figures.json"));
  cards.replaceChildren(...(reports.length ? reports.flatMap(shown).filter(Boolean) : [none]));
} catch (problem) {
  showProblem(problem);
}
