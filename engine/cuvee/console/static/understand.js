// Understand: what `cuvee evaluate`, `tune` and `report` with `--json` measured.

import { interval } from "./charts.js";
import { card, el, fetched, figure, showProblem, signed, t, tableCard, wide } from "./page.js";

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
      return found ? el("span", {}, figure(found.mean, 4), el("span", { class: "quiet small" }, ` [${span(found)}]`)) : "–";
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

/** A table whose last column draws each row's difference and interval on one scale. */
function differences(title, about, heads, rows, numbers) {
  const ends = rows.flatMap(({ found }) => (found ? [found.low ?? found.mean, found.high ?? found.mean] : []));
  const [low, high] = [Math.min(...ends, 0), Math.max(...ends, 0)];
  const cells = rows.map(({ cells: own, found }) => [
    ...own,
    found ? signed(found.mean, 4) : "–",
    found && found.low !== null ? `${signed(found.low, 4)} – ${signed(found.high, 4)}` : "–",
    found ? interval(found, low, high, found.low > 0 ? "blend" : found.high < 0 ? "harm" : "member") : "",
  ]);
  const names = [...heads, t("understand.mean"), t("understand.interval"), t("understand.drawn")];
  return tableCard(title, names, cells, numbers, about);
}

const named = (weights) => Object.entries(weights).map(([name, weight]) => `${name} ${figure(weight, 2)}`).join(", ") || "–";

function tuning(report, file) {
  const title = `${t("understand.tuning")}: ${report.measure}`;
  const segments = report.segments.map(({ name, judged, weights }) => ({
    cells: [name, figure(judged.people), figure(judged.before, 4), figure(judged.after, 4), judged.best_member || "–", named(weights)],
    found: judged.against_best?.difference,
  }));
  const heads = ["row_segment", "people", "before", "after", "best", "weights"].map((name) => t(`understand.${name}`));
  const tried = report.tried.map(({ recipe, value, against_best: best }) => ({
    cells: [[recipe.method, recipe.calibrate, recipe.missing].filter((one) => typeof one === "string").join(" · "), figure(value, 4)],
    found: best?.difference,
  }));
  const alone = Object.entries(report.members).map(([name, value]) => [name, figure(value, 4)]);
  return [
    el("div", { class: "report" }, el("h2", {}, report.product), el("p", { class: "quiet" }, [title, t("understand.users", { n: figure(report.people) }), file].join(" · "))),
    report.refused ? el("p", { class: "remark report" }, report.refused) : null,
    differences(title, t("understand.tuning_about", { best: report.best_member }), heads, [
      { cells: [t("understand.all"), figure(report.people), figure(report.before, 4), figure(report.after, 4), report.best_member, ""], found: report.against_best.difference },
      ...segments,
    ], new Set([1, 2, 3, 6, 7])),
    tried.length ? differences(t("understand.tried"), t("understand.tried_about"), [t("understand.recipe"), report.measure], tried, new Set([1, 2, 3])) : null,
    alone.length ? tableCard(t("understand.alone"), [t("watch.source"), report.measure], alone, new Set([1])) : null,
  ];
}

function outcomes({ by, groups }, file) {
  const rates = ["click_through", "conversion"];
  const most = Math.max(...groups.flatMap((one) => rates.map((rate) => one[rate].high ?? 0)), 0.01);
  const percent = (value) => (value === null ? "–" : `${figure(100 * value, 2)} %`);
  const heads = [by, t("understand.shown"), ...rates.flatMap((rate) => [t(`understand.${rate}`), t("understand.interval"), t("understand.drawn")])];
  const rows = groups.map((one) => [
    String(one.group || "–"),
    figure(one.shown),
    ...rates.flatMap((rate) => {
      const found = { mean: one[rate].rate, low: one[rate].low, high: one[rate].high };
      return [percent(found.mean), `${percent(found.low)} – ${percent(found.high)}`, interval(found, 0, most, "blend")];
    }),
  ]);
  return [wide(12, tableCard(`${t("understand.outcomes")}: ${file}`, heads, rows, new Set([1, 2, 3, 5, 6]), t("understand.outcomes_about")))];
}

const percent = (value, decimals = 1) => `${signed(100 * value, decimals)} %`;
const METRICS = ["click_through", "conversion", "events", "value"];

/** What a lift is in words, and as a drawing: the interval of one look, and the one that holds at any look. */
function lift(found, low, high) {
  if (!found) return [t("understand.too_few"), "", "", "", ""];
  const sure = found.always_low > 0 ? "blend" : found.always_high < 0 ? "harm" : "member";
  return [
    percent(found.lift),
    `${percent(found.low)} – ${percent(found.high)}`,
    `${percent(found.always_low)} – ${percent(found.always_high)}`,
    figure(found.p, 3),
    interval({ mean: found.lift, low: found.low, high: found.high }, low, high, sure),
  ];
}

function experiment(report, file) {
  const title = `${t("understand.experiment")}: ${report.experiment}`;
  const name = (metric) => (METRICS.includes(metric) ? t(`understand.${metric}`) : metric.replaceAll("_", " "));
  const users = report.variants.reduce((sum, one) => sum + one.users, 0);
  const metrics = Object.keys(report.variants[0]?.metrics ?? {});
  const rates = report.variants.map((one) => [
    one.name, `${figure(100 * one.share, 1)} %`, figure(one.users), figure(one.answers),
    ...metrics.map((metric) => `${figure(one.metrics[metric].value, 4)} [${span(one.metrics[metric])}]`),
  ]);
  const lifts = report.variants.slice(1).flatMap((one) => Object.entries(one.lifts).map(([metric, found]) => ({ cells: [one.name, name(metric) + (metric === report.metric ? ` (${t("understand.decides")})` : "")], found })));
  const bySegment = report.segments.flatMap((segment) => Object.entries(segment.lifts).map(([variant, found]) => ({ cells: [segment.name, variant], found })));
  const table = (of, heads, rows, about) => {
    const ends = rows.flatMap(({ found }) => (found ? [found.low, found.high] : []));
    const [low, high] = [Math.min(...ends, 0), Math.max(...ends, 0)];
    const names = [...heads, ...["lift", "interval", "any_look", "p", "drawn"].map((one) => t(`understand.${one}`))];
    return wide(12, tableCard(of, names, rows.map(({ cells, found }) => [...cells, ...lift(found, low, high)]), new Set([2, 3, 4, 5]), about));
  };
  return [
    el("div", { class: "report" }, el("h2", {}, title), el("p", { class: "quiet" }, [t("understand.users", { n: figure(users) }), file].join(" · "))),
    report.split.mismatch ? el("p", { class: "remark bad report" }, t("understand.split", { p: figure(report.split.p, 4) })) : null,
    table(t("understand.lifts"), [t("understand.variant"), t("understand.measured")], lifts, t("understand.lifts_about")),
    tableCard(t("understand.variants"), [t("understand.variant"), t("understand.share"), t("understand.people"), t("understand.answers"), ...metrics.map(name)], rates, new Set([1, 2, 3])),
    bySegment.length ? table(t("understand.lifts_by_segment"), [t("understand.row_segment"), t("understand.variant")], bySegment) : null,
  ];
}

function shown({ file, kind, report, problem }) {
  if (problem) return [el("p", { class: "remark bad" }, t("understand.problem", { file, problem }))];
  if (kind === "tuning") return tuning(report, file);
  if (kind === "experiment") return experiment(report, file);
  if (kind === "outcomes") return outcomes(report, file);
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

/** A report that this page cannot draw says so, and leaves the others alone. */
function drawn(one) {
  try {
    return shown(one);
  } catch (problem) {
    if (!(problem instanceof TypeError)) throw problem;
    return shown({ file: one.file, problem: t("understand.other") });
  }
}

try {
  const { reports } = await fetched("/api/reports");
  const none = card(t("page.understand"), el("p", {}, t("understand.none")), el("pre", { tabindex: "0" }, "cuvee evaluate movies --json > figures.json\ncuvee tune movies --json > tuning.json\ncuvee report movies --json > shown.json\ncuvee console --report figures.json --report tuning.json --report shown.json"));
  cards.replaceChildren(...(reports.length ? reports.flatMap(drawn).filter(Boolean) : [none]));
} catch (problem) {
  showProblem(problem);
}
