// Care: items, users, snapshots and the file of one product; what may not be changed says why.

import { showFile } from "./care-file.js";
import { showFound } from "./care-found.js";
import { showSnapshots } from "./care-snapshots.js";
import { el, fetched, guarded, showProducts, t } from "./page.js";

const byId = (id) => document.getElementById(id);
const [product, form] = ["product", "find"].map(byId);
const SCOPES = { write: "change_items", privacy: "people", admin: "steer" };

/** What the console may do with the chosen product. */
const may = { changes: false, why: { write: "away", privacy: "away", admin: "away" } };

/** A button that changes something needs a scope, and a console that may change anything. */
export function allowed(scope, change = true) {
  if (may.why[scope]) return t(`care.why_${may.why[scope]}`, { scope });
  return change && !may.changes ? t("care.why_read_only") : "";
}

/** A button; with ``why`` it is disabled and says the reason. */
export function button(text, why, action, kind = "") {
  const made = el("button", { type: "button", class: kind, disabled: Boolean(why), title: why || null }, text);
  made.addEventListener("click", async () => {
    made.disabled = true;
    if (!(await guarded(action).finally(() => (made.disabled = false)))) say("");
  });
  return made;
}

/** The reasons for which buttons are disabled, each once. */
export function reasons(...whys) {
  return [...new Set(whys)].filter(Boolean).map((why) => el("p", { class: "remark" }, why));
}

/** Tell a screen reader, and everybody. */
export function say(text) {
  byId("said").textContent = text;
}

/** Ask whether something is meant; where ``typed`` is given, it has to be typed. */
export function sure(title, text, action, typed = "") {
  const dialog = byId("sure");
  const yes = dialog.querySelector("button.main");
  const field = byId("sure-id");
  byId("sure-title").textContent = title;
  byId("sure-text").textContent = text;
  yes.textContent = action;
  byId("sure-typed").hidden = !typed;
  byId("sure-typed").querySelector("label").textContent = typed ? t("care.type", { id: typed }) : "";
  field.value = "";
  yes.disabled = Boolean(typed);
  field.oninput = () => (yes.disabled = field.value !== typed);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.onclose = () => {
      field.value = "";
      done(dialog.returnValue === "yes" && (!typed || !yes.disabled));
    };
  });
}

async function showMay() {
  const chosen = product.value;
  const found = await fetched("/api/care/may", { product: chosen });
  if (chosen !== product.value) return; // another was chosen meanwhile
  Object.assign(may, found);
  byId("may").replaceChildren(
    ...Object.entries(SCOPES).map(([scope, name]) => {
      const why = allowed(scope);
      return el("li", { class: `state ${why ? "" : "good"}` }, why ? `${t(`care.${name}`)}: ${why}` : t(`care.${name}`));
    }),
  );
}

async function showAll() {
  say("");
  byId("found").replaceChildren();
  for (const id of ["snapshots", "file"]) byId(id).replaceChildren(el("p", { class: "quiet" }, t("care.asking")));
  if (!product.value) await showProducts(product);
  if (!product.value) return;
  await showMay();
  await Promise.all([showSnapshots(product.value, byId("snapshots")), showFile(product.value, byId("file"))]);
}

const kind = () => new FormData(form).get("kind");

form.addEventListener("change", () => (byId("id-label").textContent = t(`care.${kind()}_id`)));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const id = byId("id").value.trim();
  if (!id) return byId("id").focus();
  const pressed = form.querySelector("button");
  pressed.disabled = true;
  say(t("care.asking"));
  byId("found").replaceChildren();
  guarded(async () => {
    if (!product.value) await showAll();
    await showFound(product.value, kind(), id, byId("found"));
  }).then((well) => well || say("")).finally(() => (pressed.disabled = false));
});
product.addEventListener("change", () => guarded(showAll));
guarded(async () => {
  await showProducts(product);
  await showAll();
});
