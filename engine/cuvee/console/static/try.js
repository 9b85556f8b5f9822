// Try: a list for someone, and the same candidates under other weights.

import { el, fetched, figure, filled, guarded, named, Problem, showProducts, t } from "./page.js";
import { Rows, scaleOf } from "./rows.js";
import { asToml } from "./toml.js";
import { weigh, weighable } from "./weighing.js";

const byId = (id) => document.getElementById(id);
const [form, product, said, lists] = ["ask", "product", "said", "lists"].map(byId);
const rowsA = new Rows(byId("a").querySelector("ol"));
const rowsB = new Rows(byId("b").querySelector("ol"));
let answer = null; // what the server said
let list = null; // the same, to be weighed
let a = null; // the weights that B is compared with
let b = null; // those of the sliders
let kept = false; // whether A is what somebody kept
let announcing = 0;
let drawing = 0; // the frame in which the lists will be drawn anew

const lines = (id) => byId(id).value.split("\n").map((line) => line.trim()).filter(Boolean);

async function askFor() {
  const asked = {
    product: product.value,
    user_id: byId("user").value.trim(),
    context_item_ids: lines("clicks"),
    attributes: lines("attributes"),
    interests: lines("interests"),
    filter: byId("filter").value.trim(),
  };
  if (!asked.user_id && ![asked.context_item_ids, asked.attributes, asked.interests].some((given) => given.length)) {
    byId("user").focus();
    throw new Problem("INVALID_ARGUMENT", t("try.nobody"));
  }
  const began = performance.now();
  answer = { ...(await fetched("/api/list", asked)), product: asked.product };
  answer.milliseconds = performance.now() - began;
}

function begin() {
  list = weighable(answer);
  a = Float64Array.from(list.weights);
  b = Float64Array.from(list.weights);
  kept = false;
  for (const rows of [rowsA, rowsB]) rows.clear(list, answer.sources);
  showSliders();
  showSources();
  showRules();
  showRemarks();
  lists.hidden = answer.items.length === 0;
  byId("weights").hidden = list.weighed === 0;
  byId("sources").hidden = false;
  render();
  const first = answer.items[0];
  said.textContent = first
    ? t("try.first_list", { n: answer.items.length, first: first.title || first.id })
    : t("try.empty");
}

function showSliders() {
  byId("sliders").replaceChildren(
    ...answer.sources.flatMap((source, s) => {
      if (source.weight === null && source.status === "LIVE") return []; // of the fallback chain
      const id = `weight-${s}`;
      const value = el("output", { for: id, class: "number" });
      const slider = el("input", {
        id, type: "range", min: "0", max: "1", step: "0.01", value: list.weights[s], disabled: !list.live[s], "data-source": source.name,
      });
      const label = el("label", { for: id });
      label.append(named(source.name, s));
      if (list.live[s]) value.textContent = figure(list.weights[s], 2);
      else if (source.status === "DEGRADED") value.textContent = t("try.degraded_source", { why: source.reason });
      else value.textContent = source.detail || t("try.not_asked");
      slider.addEventListener("input", () => {
        b[s] = slider.valueAsNumber;
        value.textContent = figure(b[s], 2);
        draw();
        announce();
      });
      return [el("div", { class: list.live[s] ? "slider" : "slider off" }, label, value, slider)];
    }),
  );
}

/** Draw with the next frame: a slider may say more often than that where it is. */
function draw() {
  drawing ||= requestAnimationFrame(render);
}

function render() {
  drawing = 0;
  const beside = byId("beside").checked;
  const length = Number(byId("length").value);
  const weighedA = weigh(list, a);
  const weighedB = weigh(list, b);
  const scale = scaleOf(list, [weighedB, length], ...(beside ? [[weighedA, length]] : []));
  byId("a").hidden = !beside;
  lists.classList.toggle("beside", beside);
  rowsB.show(weighedB, length, weighedA.places, scale);
  if (beside) rowsA.show(weighedA, length, null, scale);
  byId("a-title").textContent = t(kept ? "try.list_a" : "try.list_a_served");
  byId("b-title").textContent = t(beside ? "try.list_b" : "try.list_one");
  const names = answer.sources.map((source) => source.name);
  byId("toml").textContent = asToml(answer.product, answer.segment, names, b.map((weight, s) => (list.live[s] ? weight : 0)));
}

/** Tell a screen reader once the slider rests. */
function announce() {
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    const [weighedA, weighedB] = [weigh(list, a), weigh(list, b)];
    const shown = weighedB.order.slice(0, Number(byId("length").value));
    const moved = shown.filter((i) => weighedA.places[i] !== weighedB.places[i]).length;
    const first = list.items[shown[0]];
    said.textContent = moved
      ? t("try.moved", { moved, shown: shown.length, first: first.title || first.id })
      : t("try.same");
  }, 400);
}

function showSources() {
  const words = { LIVE: "try.live", DEGRADED: "try.degraded_word", NOT_SERVING_QUERY: "try.not_serving_query" };
  const heads = ["source", "status", "candidates", "latency", "model"].map((name) => t(`try.${name}`));
  const rows = answer.sources.map((source, s) => [
    named(source.name, s),
    el("span", { class: source.status === "DEGRADED" ? "bad" : null }, [t(words[source.status] ?? source.status), source.reason, source.detail].filter(Boolean).join(": ")),
    source.status === "NOT_SERVING_QUERY" ? "" : figure(source.candidates),
    source.status === "NOT_SERVING_QUERY" ? "" : `${figure(source.milliseconds, 1)} ms`,
    source.model_version,
  ]);
  filled(byId("sources").querySelector("table"), heads, rows, new Set([2, 3]));
  byId("facts").textContent = [
    t("try.about_list", { n: answer.items.length, ms: figure(answer.milliseconds) }),
    t("try.segment", { name: answer.segment }),
    answer.variant && t("try.variant", { name: answer.variant }),
    t("try.snapshot", { name: answer.snapshot_version }),
    t("try.revision", { name: answer.config_revision }),
  ].filter(Boolean).join(" · ");
}

/** What each rule of the product did to the list. */
function showRules() {
  const place = byId("rules");
  place.hidden = answer.rules.length === 0;
  const rows = answer.rules.map(({ name, removed }) => {
    const effects = answer.items.flatMap((item, i) => item.rules.filter(([rule]) => rule === name).map(([, added, from]) => ({ added, moved: from !== i })));
    const count = (which) => figure(effects.filter(which).length);
    return [name, count(({ added }) => added > 0), count(({ added }) => added < 0), count(({ moved }) => moved), figure(removed)];
  });
  const heads = ["rule", "raised", "lowered", "rule_moves", "removed"].map((name) => t(`try.${name}`));
  filled(place.querySelector("table"), heads, rows, new Set([1, 2, 3, 4]));
}

function showRemarks() {
  const remarks = [
    answer.degraded && ["bad", t("try.degraded")],
    byId("user").value.trim() && !answer.user_known && ["", t("try.user_unknown")],
    answer.unknown.length && ["", t("try.unknown", { names: answer.unknown.join(", ") })],
    list.rearranged && ["", t("try.rearranged")],
    list.weighed > 0 && list.weighed === list.n && ["quiet", t("try.cut", { n: list.n })],
  ];
  byId("remarks").replaceChildren(
    ...remarks.filter(Boolean).map(([kind, text]) => el("p", { class: `remark ${kind}` }, text)),
  );
}

function resetTo(weights) {
  b = Float64Array.from(weights);
  for (const slider of byId("sliders").querySelectorAll("input:enabled")) {
    const s = Number(slider.id.slice("weight-".length));
    slider.value = b[s];
    slider.parentElement.querySelector("output").textContent = figure(b[s], 2);
  }
  render();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(byId("toml").textContent);
    said.textContent = t("try.copied");
  } catch {
    byId("toml").closest("details").open = true;
    said.textContent = t("try.not_copied");
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  said.textContent = t("try.asking");
  guarded(async () => {
    if (!product.value) await showProducts(product); // the server was away when the page came
    await askFor();
    begin();
  }).then((well) => well || (said.textContent = "")).finally(() => (button.disabled = false));
});
byId("reset").addEventListener("click", () => (resetTo(list.weights), announce()));
byId("keep").addEventListener("click", () => {
  a = Float64Array.from(b);
  kept = true;
  byId("beside").checked = true;
  render();
  announce();
});
byId("copy").addEventListener("click", copy);
byId("beside").addEventListener("change", render);
byId("length").addEventListener("change", render);
guarded(() => showProducts(product));
