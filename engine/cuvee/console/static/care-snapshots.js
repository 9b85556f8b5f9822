// Snapshots of a product: which serves, activate, roll back, follow the newest again.

import { allowed, button, reasons, say, sure } from "./care.js";
import { el, fetched, figure, filled, t } from "./page.js";

/** Show them, or why they cannot be seen. */
export async function showSnapshots(product, place) {
  const blind = allowed("admin", false);
  if (blind) return place.replaceChildren(...reasons(blind));
  const found = await fetched("/api/care/snapshots", { product });
  const why = allowed("admin");
  const use = async (action, version, title, text) => {
    if (!(await sure(title, text, title))) return;
    say(t("care.loading"));
    const done = await fetched("/api/care/use", { product, action, version });
    await showSnapshots(product, place);
    say(t("care.serves", { version: done.version, previous: done.previous }));
  };
  const rows = found.snapshots.map((one) => {
    const active = one.version === found.serving;
    const title = t("care.activate");
    const act = button(title, why, () => use("activate", one.version, title, t("care.activate_sure", { version: one.version })));
    act.setAttribute("aria-label", `${title}: ${one.version}`);
    return [
      one.version,
      el("span", { class: `state ${active ? "good" : one.state === "refused" ? "bad" : ""}` }, t(active ? "care.active" : one.state === "refused" ? "care.refused" : "care.available"), one.problem ? `: ${one.problem}` : ""),
      one.models.join(", "),
      `${figure(one.bytes / 1e6, 1)} MB`,
      active ? "" : act,
    ];
  });
  const back = t("care.rollback");
  const release = t("care.release");
  const scrolled = el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": `${t("care.snapshots")}: ${product}` });
  scrolled.append(filled(el("table"), ["version", "state", "models", "size", "action"].map((name) => t(`care.${name}`)), rows, new Set([3])));
  place.replaceChildren(
    el("p", { class: "small" }, t("care.product_facts", { items: figure(found.items), users: figure(found.users) })),
    found.held ? el("p", { class: "remark" }, t("care.held")) : "",
    ...found.problems.map((one) => el("p", { class: "remark bad" }, [one.path, one.said].filter(Boolean).join(": "))),
    el("div", { class: "buttons" },
      button(back, why, () => use("rollback", "", back, t("care.rollback_sure"))),
      found.held ? button(release, why, () => use("release", "", release, t("care.release_sure"))) : "",
    ),
    ...reasons(why),
    scrolled,
  );
}
