// What was found of an item or a user, and what can be done with it.

import { allowed, button, reasons, say, sure } from "./care.js";
import { downloaded, el, fetched, figure, filled, signed, t } from "./page.js";

function table(title, heads, rows, numbers) {
  const scrolled = el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": title });
  scrolled.append(filled(el("table"), heads.map((name) => t(`care.${name}`)), rows, numbers));
  return [el("h3", {}, title), scrolled];
}

const text = (value) => el("span", { dir: "auto" }, value);
const times = ({ created, updated }) => (created || updated ? t("care.times", { created: when(created), updated: when(updated) }) : "");
const when = (time) => (time ? time.replace("T", " ").replace(/(\.\d+)?Z$/, "") : "–");

function columns(rows) {
  if (!rows.length) return [el("p", { class: "quiet" }, t("care.nothing_known"))];
  return table(t("care.known"), ["column", "value"], rows.map(([name, value]) => [name, text(value || "–")]));
}

/** Look for an item or a user, and show it. */
export async function showFound(product, kind, id, place) {
  if (kind === "item") showItem(product, await fetched("/api/care/item", { product, item_id: id }), place);
  else showUser(product, id, await fetched("/api/care/user", { product, user_id: id }), place);
}

function showItem(product, { item, similar }, place) {
  if (!item) {
    say(t("care.similar", { n: similar.length }));
    place.replaceChildren(el("ul", { class: "choices" }, ...similar.map((one) => el("li", {}, button(`${one.title || one.id} (${one.id})`, "", () => showFound(product, "item", one.id, place))))));
    return;
  }
  say(t("care.found", { id: item.title || item.id }));
  const why = allowed("write");
  const hide = async (available) => {
    const title = t(available ? "care.show" : "care.hide");
    if (!(await sure(title, t(available ? "care.show_sure" : "care.hide_sure", { id: item.id }), title))) return;
    showItem(product, await fetched("/api/care/hide", { product, item_id: item.id, available }), place);
    say(t(available ? "care.shown_again" : "care.hidden", { id: item.id }));
  };
  place.replaceChildren(
    el("h3", { dir: "auto" }, item.title || item.id),
    el("p", { class: "quiet small" }, text(item.id), ` ${times(item)}`),
    el("p", { class: `state ${item.available ? "good" : "bad"}` }, t(item.available ? "care.is_shown" : "care.is_hidden")),
    el("div", { class: "buttons" }, button(t(item.available ? "care.hide" : "care.show"), why, () => hide(!item.available))),
    ...reasons(why),
    ...columns(item.attributes),
  );
}

function showUser(product, id, user, place) {
  say(t("care.found", { id }));
  const privacy = allowed("privacy", false);
  const why = allowed("privacy");
  const everywhere = el("input", { id: "everywhere", type: "checkbox" });
  const asked = () => ({ product, user_id: id, everywhere: everywhere.checked });
  const cleared = el("div", { id: "cleared" });
  const list = user.list;
  place.replaceChildren(
    el("h3", { dir: "auto" }, id),
    el("p", { class: "quiet small" }, [
      t("care.events_stored", { n: figure(user.event_count) }),
      list && t("try.segment", { name: list.segment }),
      list?.variant && t("try.variant", { name: list.variant }),
      times(user),
    ].filter(Boolean).join(" · ")),
    el("p", { class: "check" }, everywhere, el("label", { for: "everywhere" }, t("care.everywhere"))),
    el("div", { class: "buttons" },
      button(t("care.export"), privacy, async () => {
        await downloaded("/api/care/export", asked(), "export.jsonl");
        say(t("care.exported"));
      }),
      button(t("care.delete"), why, () => remove(asked(), cleared), "danger"),
    ),
    ...reasons(privacy, why),
    cleared,
    ...columns([...user.attributes, ...user.interests.map(([name, liked]) => [t("care.likes", { column: name }), liked])]),
    ...(user.events.length
      ? table(t(user.cut ? "care.history_cut" : "care.history", { n: user.events.length }), ["time", "what", "value", "item"], user.events.map((one) => [when(one.time), one.type || t("care.imported"), figure(one.value, 2), text(one.title ? `${one.title} (${one.item})` : one.item)]), new Set([2]))
      : [el("p", { class: "quiet" }, t("care.no_history"))]),
    ...(list?.items.length
      ? table(t("care.would_show"), ["item", "score", "reason"], list.items.map((one) => [text(one.title ? `${one.title} (${one.id})` : one.id), signed(one.score), text(one.reason)]), new Set([1]))
      : [el("p", { class: "quiet" }, t("care.no_list"))]),
  );
}

function places(found) {
  const rows = found.map((one) => [one.place, one.product, t(`care.${one.outcome}`), figure(one.records), text(one.detail)]);
  return table(t("care.places"), ["place", "product", "outcome", "records", "detail"], rows, new Set([3]));
}

async function remove(asked, cleared) {
  const would = await fetched("/api/care/delete", asked);
  const found = would.places.filter((one) => one.records);
  cleared.replaceChildren(...places(found.map((one) => ({ ...one, outcome: one.outcome === "cleared" ? "to_clear" : one.outcome }))));
  const title = t("care.delete");
  if (!(await sure(title, t("care.delete_sure", { n: found.length }), title, asked.user_id))) return cleared.replaceChildren();
  const done = await fetched("/api/care/delete", { ...asked, confirmed: asked.user_id });
  cleared.parentElement.replaceChildren(...places(done.places.filter((one) => one.records)));
  document.getElementById("id").value = "";
  say(t(done.complete ? "care.deleted" : "care.deleted_pending"));
}
