// What every page uses: texts, elements, requests to the console, and how problems are shown.

const table = JSON.parse(document.getElementById("texts").textContent);

/** The text of a key, its {names} filled in. */
export function t(key, names = {}) {
  return (table[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(names[name] ?? whole));
}

/** An element. Children are elements or texts: no text is ever read as HTML. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A problem: what went wrong, and what to do. */
export class Problem extends Error {
  constructor(code, said = "", field = "") {
    super(said || code);
    Object.assign(this, { code, said, field });
  }
}

/** An answer of the console; raises Problem. What is personal is only ever sent in a body. */
async function answered(path, body) {
  const headers = { "content-type": "application/json", "x-cuvee-page": document.body.dataset.secret };
  try {
    return await fetch(path, body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) });
  } catch (problem) {
    throw problem instanceof TypeError ? new Problem("AWAY") : problem;
  }
}

/** The same as JSON. */
export async function fetched(path, body) {
  const answer = await answered(path, body);
  let content;
  try {
    content = await answer.json();
  } catch (problem) {
    throw problem instanceof TypeError ? new Problem("AWAY") : new Problem("OTHER");
  }
  if (content.error) throw new Problem(content.error.code, content.error.said, content.error.field);
  return content;
}

/** The same as a file that the browser keeps. */
export async function downloaded(path, body, name) {
  const answer = await answered(path, body);
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({ error: { code: "OTHER" } }));
    throw new Problem(error.code, error.said, error.field);
  }
  let file;
  try {
    file = await answer.blob();
  } catch {
    throw new Problem("OTHER"); // it broke off
  }
  const link = el("a", { href: URL.createObjectURL(file), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Show a problem, or clear it with null. */
export function showProblem(problem) {
  const place = document.getElementById("problem");
  if (!problem) return place.replaceChildren();
  const { code = "OTHER", said = "", field = "" } = problem instanceof Problem ? problem : {};
  place.replaceChildren(
    el(
      "div",
      { class: "problem" },
      el("p", { class: "strong" }, t("error.title")),
      el("p", {}, t(`error.${code}`, { address: document.body.dataset.address })),
      said ? el("p", { class: "small" }, t("error.said", { said })) : null,
      field ? el("p", { class: "small" }, t("error.field", { field })) : null,
    ),
  );
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Do it, and show what goes wrong; true where nothing did. */
export async function guarded(action) {
  try {
    await action();
    showProblem(null);
    return true;
  } catch (problem) {
    showProblem(problem);
    document.getElementById("problem").scrollIntoView({ block: "nearest" });
    if (!(problem instanceof Problem)) throw problem;
    return false;
  }
}

/** Fill the choice of a product. */
export async function showProducts(select) {
  const found = (await fetched("/api/products")).products;
  const chosen = select.value;
  const options = found.map(({ name, state }) => el("option", { value: name }, state === "SERVING" ? name : t("try.product_down", { name })));
  select.replaceChildren(...options);
  if (found.some(({ name }) => name === chosen)) select.value = chosen;
}

/** A source's class and letter: colours repeat after eight, letters later. */
export function mark(place) {
  return { colour: `s${place % 8}`, letter: LETTERS[place % 26] };
}

/** A source's mark with its name. */
export function named(name, place) {
  const { colour, letter } = mark(place);
  return el("span", { class: "named" }, el("span", { class: `mark ${colour}`, "aria-hidden": "true" }, letter), name);
}

/** A table's head and body; cells are texts or elements, columns of ``numbers`` are set right. */
export function filled(table, heads, rows, numbers = new Set()) {
  const kind = (at) => (numbers.has(at) ? { class: "number" } : {});
  const head = el("tr", {}, ...heads.map((text, at) => el("th", { scope: "col", ...kind(at) }, text)));
  const body = rows.map((cells) =>
    el("tr", {}, ...cells.map((cell, at) => el(at ? "td" : "th", { ...(at ? {} : { scope: "row" }), ...kind(at) }, cell ?? ""))),
  );
  table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...body));
  return table;
}

/** A card with a title and a table that scrolls by itself where it is wide. */
export function tableCard(title, heads, rows, numbers, about) {
  const scrolled = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title });
  scrolled.append(filled(el("table"), heads, rows, numbers));
  return card(title, about ? el("p", { class: "quiet small" }, about) : null, scrolled);
}

/** A card with a title. */
export function card(title, ...content) {
  return el("section", { class: "card" }, el("h2", {}, title), ...content.filter(Boolean));
}

/** The same card, so many of twelve columns wide where there is room. */
export function wide(columns, made) {
  made?.classList.add(`w${columns}`);
  return made;
}

const language = document.documentElement.lang;
const formats = new Map(); // making one costs more than a hundred uses of it

/** A number with so many decimals, as the language writes it. */
export function figure(value, decimals = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  let format = formats.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat(language, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    formats.set(decimals, format);
  }
  return format.format(value);
}

/** The same with its sign. */
export function signed(value, decimals = 2) {
  return (value < 0 ? "−" : "+") + figure(Math.abs(value), decimals);
}
