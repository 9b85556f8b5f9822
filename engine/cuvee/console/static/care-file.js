// The file of a product in an editor: check, compare, apply, bring back the one before.

import { allowed, button, reasons, say, sure } from "./care.js";
import { el, fetched, filled, t } from "./page.js";

/** Show the file that is there, or why it cannot be seen. */
export async function showFile(product, place) {
  const blind = allowed("admin", false);
  if (blind) return place.replaceChildren(...reasons(blind));
  let file = await fetched("/api/care/file", { product });
  const why = allowed("admin");
  const editor = el("textarea", { id: "toml", rows: "20", spellcheck: "false", autocapitalize: "off", wrap: "off" });
  const result = el("div", { id: "result" });
  const state = el("p", { class: "quiet small" });
  const take = (found) => {
    file = found;
    editor.value = file.text;
    state.textContent = t("care.file_state", { revision: file.revision || "–" });
    result.replaceChildren(...mistakes(file.problems));
  };
  const check = async () => {
    const found = await fetched("/api/care/check", { product, text: editor.value });
    const moved = found.etag === file.etag ? [] : [el("p", { class: "remark bad" }, t("care.file_moved"))];
    result.replaceChildren(...moved, ...mistakes(found.problems, true), ...difference(found.difference));
    say(found.problems.length ? t("care.has_mistakes", { n: found.problems.length }) : t("care.no_mistakes"));
    return found.problems.length === 0;
  };
  const applied = async (path, body) => {
    say(t("care.loading"));
    const done = await fetched(path, body);
    take(await fetched("/api/care/file", { product }));
    say(t("care.applied", { revision: done.revision, previous: done.previous }));
  };
  const apply = async () => {
    if (!(await check())) return;
    const title = t("care.apply");
    if (await sure(title, t("care.apply_sure", { product }), title)) await applied("/api/care/apply", { product, text: editor.value, etag: file.etag });
  };
  const earlier = async () => {
    const title = t("care.earlier");
    if (await sure(title, t("care.earlier_sure", { product }), title)) await applied("/api/care/earlier", { product, etag: file.etag });
  };
  place.replaceChildren(
    state,
    el("label", { for: "toml" }, `products/${product}.toml`),
    editor,
    el("div", { class: "buttons" },
      button(t("care.check"), "", check, "main"),
      button(t("care.apply"), why, apply),
      button(t("care.earlier"), why, earlier),
      button(t("care.again"), "", async () => {
        take(await fetched("/api/care/file", { product }));
        say(t("care.read_again"));
      }),
    ),
    ...reasons(why),
    result,
  );
  take(file);
}

function mistakes(found, checked = false) {
  if (!found.length) return checked ? [el("p", { class: "state good" }, t("care.no_mistakes"))] : [];
  const heads = ["path", "line", "mistake"].map((name) => t(`care.${name}`));
  const rows = found.map((one) => [one.path || one.file, one.line || "–", one.said]);
  const scrolled = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("care.mistakes") });
  scrolled.append(filled(el("table", { class: "mistakes" }), heads, rows.map((cells) => cells.map(String)), new Set([1])));
  return [el("h3", { class: "bad" }, t("care.mistakes")), scrolled];
}

function difference(lines) {
  if (!lines.length) return [el("p", { class: "quiet" }, t("care.no_difference"))];
  const kinds = { "+": "added", "-": "removed", "@": "place-of" };
  const shown = lines.map((line) => el("span", { class: kinds[line[0]] ?? "" }, `${line}\n`));
  return [el("h3", {}, t("care.difference")), el("pre", { class: "difference", tabindex: "0", role: "region", "aria-label": t("care.difference") }, ...shown)];
}
