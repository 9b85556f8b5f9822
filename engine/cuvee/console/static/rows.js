// A list of items: rows are made once and reused, so that a slider costs little.

import { el, figure, mark, signed, t } from "./page.js";

/** The rows of one list. */
export class Rows {
  constructor(place) {
    this.place = place;
    this.made = new Map();
  }

  /** Begin anew with another answer. */
  clear(list, sources) {
    Object.assign(this, { list, sources });
    this.made.clear();
    this.place.replaceChildren();
  }

  /** Show the first items of a weighing; ``before`` are the items' places that arrows compare with, or null. */
  show(weighed, length, before, scale) {
    const shown = weighed.order.slice(0, length).map((i, place) => {
      const row = this.row(this.list.items[i], i);
      this.update(row, weighed, i, place, before, scale);
      return row.element;
    });
    for (const item of this.list.rest.slice(0, length - shown.length)) {
      const row = this.row(item, -1);
      row.place.textContent = String(shown.length + 1);
      shown.push(row.element);
    }
    const now = this.place.children;
    const inside = this.place.contains(document.activeElement) ? document.activeElement : null;
    if (shown.length !== now.length || shown.some((element, at) => element !== now[at])) {
      this.place.replaceChildren(...shown);
      inside?.focus({ preventScroll: true });
    }
  }

  row(item, i) {
    const found = this.made.get(item.id);
    if (found) return found;
    const title = item.title || item.id;
    const row = {
      item, i, open: false,
      place: el("span", { class: "place" }),
      move: el("span", { class: "move" }),
      score: el("span", { class: "score" }, i < 0 ? figure(item.score, 2) : ""),
      bar: el("span", { class: "bar", role: "img" }),
      more: el("button", { type: "button", class: "more", "aria-expanded": "false", "aria-label": t("try.details_of", { title }) }, "⋯"),
      details: el("div", { class: "details scroll", hidden: true, tabindex: "0", role: "group", "aria-label": t("try.details_of", { title }) }),
    };
    const reason = item.fallback
      ? t("try.fallback", { source: item.fallback.source, why: item.fallback.reason })
      : item.exploration ? t("try.exploration") : item.reason;
    const ranks = item.parts.filter((part) => part[4] > 0).map(([s, , , , rank]) => `${this.sources[s].name} ${rank}`);
    const what = el(
      "div", { class: "what" },
      el("span", { class: "title" }, title), " ",
      el("span", { class: "id" }, item.id),
      reason ? el("span", { class: "reason" }, reason) : null,
      ranks.length ? el("span", { class: "ranks" }, `${t("try.rank")}: ${ranks.join(" · ")}`) : null,
    );
    if (i >= 0) this.makeBar(row);
    row.element = el("li", {}, row.place, row.move, what, i < 0 ? el("span") : row.bar, row.score, i < 0 ? el("span") : row.more, row.details);
    row.more.addEventListener("click", () => {
      row.open = !row.open;
      row.more.setAttribute("aria-expanded", String(row.open));
      row.details.hidden = !row.open;
      if (row.open) this.detail(row);
    });
    this.made.set(item.id, row);
    return row;
  }

  makeBar(row) {
    const segment = (s) => {
      const { colour, letter } = mark(s);
      return el("i", { class: colour }, letter);
    };
    const all = this.sources.map((_, s) => s);
    row.against = all.map(segment);
    row.favour = all.map(segment);
    row.space = el("i", { class: "space" });
    row.bar.append(row.space, ...row.against.toReversed(), el("i", { class: "axis" }), ...row.favour);
  }

  update(row, weighed, i, place, before, scale) {
    const p = this.list.p;
    row.weighed = weighed;
    row.place.textContent = String(place + 1);
    row.score.textContent = figure(weighed.scores[i], 2);
    const moved = before ? before[i] - place : 0;
    const way = moved > 0 ? "up" : moved < 0 ? "down" : "";
    const arrow = moved ? `${way === "up" ? "▲" : "▼"}${Math.abs(moved)}` : "";
    if (row.arrow !== arrow) {
      row.arrow = arrow;
      row.move.className = `move ${way}`;
      row.move.replaceChildren(
        ...(moved ? [el("span", { "aria-hidden": "true" }, arrow), el("span", { class: "hidden" }, t(`try.${way}`, { n: Math.abs(moved) }))] : []),
      );
    }
    const width = scale.below + scale.above || 1;
    let against = 0;
    const said = [];
    for (let s = 0; s < p; s++) {
      const part = weighed.parts[i * p + s];
      const cells = (100 * Math.abs(part)) / width;
      set(row.favour[s], part > 0 ? cells : 0);
      set(row.against[s], part < 0 ? cells : 0);
      if (part < 0) against -= part;
      if (part !== 0) said.push(`${this.sources[s].name} ${signed(part)}`);
    }
    set(row.space, (100 * (scale.below - against)) / width);
    row.bar.setAttribute("aria-label", said.join(", ") || "0");
    if (row.open) this.detail(row);
  }

  /** The numbers behind a row. */
  detail(row) {
    const heads = ["source", "rank", "raw", "calibrated", "weight", "contribution"];
    const rows = row.item.parts.map(([s, raw, calibrated, , rank]) => {
      const { colour, letter } = mark(s);
      return el(
        "tr", {},
        el("th", { scope: "row" }, el("span", { class: `mark ${colour}`, "aria-hidden": "true" }, letter), this.sources[s].name),
        ...[
          rank || "–",
          raw === null ? t("try.no_opinion") : figure(raw, 3),
          figure(calibrated, 2),
          figure(row.weighed.share[s], 2),
          signed(row.weighed.parts[row.i * this.list.p + s]),
        ].map((text) => el("td", { class: "number" }, String(text))),
      );
    });
    const head = heads.map((name, at) => el("th", { scope: "col", class: at ? "number" : null }, t(`try.${name}`)));
    row.details.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
  }
}

function set(segment, width) {
  const text = width > 0 ? `${width.toFixed(2)}%` : "0";
  if (segment.width !== text) {
    segment.width = text;
    segment.style.width = text; // allowed by the policy: only style="" in markup is not
    segment.className = segment.className.replace(/ ?thin/, "") + (width < 5 ? " thin" : "");
  }
}

/** The bars' common scale: the largest sums for and against an item among those shown. */
export function scaleOf(p, ...shown) {
  let below = 0;
  let above = 0;
  for (const [weighed, length] of shown) {
    for (const i of weighed.order.slice(0, length)) {
      let minus = 0;
      let plus = 0;
      for (let s = 0; s < p; s++) {
        const part = weighed.parts[i * p + s];
        if (part < 0) minus -= part;
        else plus += part;
      }
      below = Math.max(below, minus);
      above = Math.max(above, plus);
    }
  }
  return { below, above };
}
