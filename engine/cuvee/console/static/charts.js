// Small drawings as SVG: lines over time, and intervals.

import { figure, t } from "./page.js";

const NS = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** One chart of several lines; each is an array of numbers, null where there is none. Says its range in words. */
export function lines(title, series, decimals) {
  const [width, height, edge] = [320, 90, 4];
  const all = series.flat().filter((value) => value !== null);
  const most = Math.max(...all, 0) || 1;
  const count = Math.max(...series.map((values) => values.length), 2);
  const x = (at) => edge + ((width - 2 * edge) * at) / (count - 1);
  const y = (value) => height - edge - ((height - 2 * edge) * value) / most;
  const paths = series.map((values, at) => {
    let pen = "M";
    const path = values.map((value, place) => {
      if (value === null) return ((pen = "M"), "");
      const step = `${pen}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      return step;
    });
    return svg("path", { d: path.join(""), class: `line l${at}` });
  });
  const latest = [...series[0]].reverse().find((value) => value !== null) ?? null;
  const words = t("watch.range", { now: figure(latest, decimals), most: figure(all.length ? Math.max(...all) : null, decimals) });
  const drawn = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "lines", role: "img", "aria-label": `${title}: ${words}` },
    svg("path", { d: `M0 ${height - edge}H${width}`, class: "ground" }),
    ...paths,
  );
  return { drawn, words };
}

/** A mean with its interval on a scale from ``low`` to ``high``; with a line at 0 where that lies inside. */
export function interval(found, low, high, kind) {
  const width = 200;
  const x = (value) => 6 + ((width - 12) * (value - low)) / (high - low || 1);
  const parts = [svg("path", { d: `M0 10H${width}`, class: "ground" })];
  if (low < 0 && high > 0) parts.push(svg("path", { d: `M${x(0)} 0V20`, class: "zero" }));
  if (found.low !== null && found.high !== null) {
    parts.push(svg("path", { d: `M${x(found.low)} 10H${x(found.high)}M${x(found.low)} 6V14M${x(found.high)} 6V14`, class: `whisker ${kind}` }));
  }
  parts.push(svg("circle", { cx: x(found.mean), cy: 10, r: 4, class: `dot ${kind}` }));
  return svg("svg", { viewBox: `0 0 ${width} 20`, class: "interval", "aria-hidden": "true" }, ...parts);
}
