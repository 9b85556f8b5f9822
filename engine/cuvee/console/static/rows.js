// A list of items. Each place has a row that stays where it is: another order changes what rows say, not where they
// are, so the browser lays out almost nothing. Rows near the window are written at once, the others when it is idle.

import { el, figure, mark, signed, t } from "./page.js";

const FIRST = 12; // rows that are written at once before it is known which are near the window
const PAUSE = 200; // milliseconds
const SOON = { timeout: 100 };
const idle = window.requestIdleCallback ?? ((work) => setTimeout(() => work({ timeRemaining: () => 8 }), 30));

/** The rows of one list. */
export class Rows {
  constructor(place) {
    this.place = place;
    this.rows = [];
    this.watching = new IntersectionObserver((seen) => this.moved(seen), { rootMargin: "20px" });
  }

  /** Begin anew with another answer. */
  clear(list, sources) {
    Object.assign(this, { list, sources, open: new Set() });
    this.ruled = list.added.some((share) => share !== 0);
    this.resize(0);
  }

  resize(length) {
    for (const row of this.rows.splice(length)) {
      this.watching.unobserve(row.element);
      row.element.remove();
    }
    while (this.rows.length < length) {
      const element = el("li");
      const row = { element, at: this.rows.length, near: this.rows.length < FIRST, stale: true, i: -1 };
      element.row = row;
      this.rows.push(row);
      this.place.append(element);
      this.watching.observe(element);
    }
  }

  /** Show the first items of a weighing; ``before`` are the items' places that arrows compare with, or null. */
  show(weighed, length, before, scale) {
    Object.assign(this, { weighed, before, scale });
    this.resize(Math.min(length, weighed.order.length));
    for (const row of this.rows) {
      row.stale = true;
      if (row.near) this.write(row);
    }
    this.later();
  }

  moved(seen) {
    for (const { target, isIntersecting } of seen) {
      target.row.near = isIntersecting;
      if (isIntersecting && target.row.stale) this.write(target.row);
    }
  }

  /** Write what is outside of the window, when no slider has moved for a moment and the browser is idle. */
  later() {
    this.place.toggleAttribute("data-writing", true);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => idle((deadline) => this.rest(deadline, this.weighed), SOON), PAUSE);
  }

  rest(deadline, weighed) {
    if (weighed !== this.weighed) return; // a newer order waits for its own turn
    const until = performance.now() + Math.max(deadline.timeRemaining() - 4, 4); // a busy browser is never idle
    for (const row of this.rows) {
      if (row.stale) {
        this.write(row);
        if (performance.now() > until) return idle((next) => this.rest(next, weighed), SOON);
      }
    }
    this.place.toggleAttribute("data-writing", false);
  }

  make(row) {
    row.place = el("span", { class: "place" }, String(row.at + 1));
    row.move = el("span", { class: "move" });
    [row.title, row.id] = ["title", "id"].map((name) => el("span", { class: name, dir: "auto" }));
    [row.reason, row.ranks, row.rules] = ["reason", "ranks", "rules"].map((name) => el("span", { class: name }));
    row.score = el("span", { class: "score" });
    row.bar = el("span", { class: "bar", role: "img" });
    row.more = el("button", { type: "button", class: "more", "aria-expanded": "false" }, "⋯");
    row.details = el("div", { class: "details scroll", hidden: true, tabindex: "0", role: "group" });
    const what = el("div", { class: "what" }, row.title, " ", row.id, row.reason, row.ranks, row.rules);
    row.element.append(row.place, row.move, what, row.bar, row.score, row.more, row.details);
    this.makeBar(row);
    row.more.addEventListener("click", () => {
      if (!this.open.delete(row.i)) this.open.add(row.i);
      this.openOrClose(row);
    });
  }

  makeBar(row) {
    const segment = (s) => {
      const { colour, letter } = s < this.sources.length ? mark(s) : { colour: "rule", letter: "R" };
      return el("i", { class: colour }, letter);
    };
    const all = [...this.sources.keys(), ...(this.ruled ? [this.sources.length] : [])];
    row.against = all.map(segment);
    row.favour = all.map(segment);
    row.space = el("i", { class: "space" });
    row.bar.append(row.space, ...row.against.toReversed(), el("i", { class: "axis" }), ...row.favour);
  }

  /** Another item comes to a row's place. */
  name(row, i) {
    const item = this.list.items[i];
    const title = item.title || item.id;
    row.i = i;
    row.title.textContent = title;
    row.id.textContent = item.id;
    row.reason.textContent = item.fallback
      ? t("try.fallback", { source: item.fallback.source, why: item.fallback.reason })
      : item.exploration ? t("try.exploration") : item.reason;
    const ranks = item.parts.filter((part) => part[4] > 0).map(([s, , , , rank]) => `${this.sources[s].name} ${rank}`);
    row.ranks.textContent = ranks.length ? `${t("try.rank")}: ${ranks.join(" · ")}` : "";
    row.more.setAttribute("aria-label", t("try.details_of", { title }));
    row.details.setAttribute("aria-label", t("try.details_of", { title }));
    row.bar.hidden = row.more.hidden = !this.list.blended[i];
    this.openOrClose(row, false);
  }

  write(row) {
    if (!row.place) this.make(row);
    const { weighed, list } = this;
    const i = weighed.order[row.at];
    row.stale = false;
    if (row.i !== i) this.name(row, i);
    row.score.textContent = figure(weighed.scores[i], 2);
    this.writeRules(row, i);
    const moved = this.before ? this.before[i] - row.at : 0;
    if (row.moved !== moved) {
      row.moved = moved;
      const way = moved > 0 ? "up" : moved < 0 ? "down" : "";
      row.move.className = `move ${way}`;
      row.move.replaceChildren(
        ...(moved
          ? [
              el("span", { "aria-hidden": "true" }, `${way === "up" ? "▲" : "▼"}${Math.abs(moved)}`),
              el("span", { class: "hidden" }, t(`try.${way}`, { n: Math.abs(moved) })),
            ]
          : []),
      );
    }
    if (list.blended[i]) this.writeBar(row, i);
    if (this.open.has(i)) this.detail(row);
  }

  /** What rules added; and, in the order that was served, what they moved and from where. */
  writeRules(row, i) {
    const told = this.list.items[i].rules.flatMap(([rule, added, from]) => {
      const name = added ? t("try.rule_added", { rule, value: signed(added) }) : rule;
      if (!this.weighed.asServed) return added ? [name] : [];
      if (from === null) return [t("try.rule_put", { rule: name })];
      // an item that a rule raised may have made room for one that another rule moved
      const moved = added ? Math.sign(from - i) === Math.sign(added) : from !== i;
      return [moved ? t("try.rule_moved", { rule: name, place: from + 1 }) : name];
    });
    const text = told.length ? `${t("try.rules")}: ${told.join(" · ")}` : "";
    if (row.rules.textContent !== text) row.rules.textContent = text;
  }

  writeBar(row, i) {
    const { p, added } = this.list;
    const width = this.scale.below + this.scale.above || 1;
    let against = 0;
    const said = [];
    for (let s = 0; s < row.favour.length; s++) {
      const part = s < p ? this.weighed.parts[i * p + s] : added[i];
      const cells = (100 * Math.abs(part)) / width;
      set(row.favour[s], part > 0 ? cells : 0);
      set(row.against[s], part < 0 ? cells : 0);
      if (part < 0) against -= part;
      if (part !== 0) said.push(`${s < p ? this.sources[s].name : t("try.rules")} ${signed(part)}`);
    }
    set(row.space, (100 * (this.scale.below - against)) / width);
    row.bar.setAttribute("aria-label", said.join(", ") || "0");
  }

  openOrClose(row, write = true) {
    const open = this.open.has(row.i) && this.list.blended[row.i];
    row.more.setAttribute("aria-expanded", String(open));
    row.details.hidden = !open;
    if (open && write) this.detail(row);
  }

  /** The numbers behind a row. */
  detail(row) {
    const heads = ["source", "rank", "raw", "calibrated", "weight", "contribution"];
    const rows = this.list.items[row.i].parts.map(([s, raw, calibrated, , rank]) => {
      const { colour, letter } = mark(s);
      return el(
        "tr", {},
        el("th", { scope: "row" }, el("span", { class: `mark ${colour}`, "aria-hidden": "true" }, letter), this.sources[s].name),
        ...[
          rank || "–",
          raw === null ? t("try.no_opinion") : figure(raw, 3),
          figure(calibrated, 2),
          figure(this.weighed.share[s], 2),
          signed(this.weighed.parts[row.i * this.list.p + s]),
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
    const thin = width < 5;
    if (segment.thin !== thin) segment.classList.toggle("thin", (segment.thin = thin));
  }
}

/** The bars' common scale: the largest sums for and against an item among those shown. */
export function scaleOf({ p, added, blended }, ...shown) {
  let below = 0;
  let above = 0;
  for (const [weighed, length] of shown) {
    for (const i of weighed.order.slice(0, length)) {
      if (!blended[i]) continue;
      let minus = Math.max(-added[i], 0);
      let plus = Math.max(added[i], 0);
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
