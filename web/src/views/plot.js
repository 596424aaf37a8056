// A plot from data: lines, points and bars over numbers, as SVG. null is a gap; an axis may be logarithmic.
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @typedef {{name?: string, x?: number[], y: (number | null)[], kind?: "line" | "points" | "bars"}} Series */
/** @typedef {{label?: string, scale?: string}} Axis */
/** @typedef {{title?: string, x?: Axis, y?: Axis, series: Series[]}} PlotData */

const COLORS = ["var(--accent)", "var(--running)", "var(--hit)", "var(--done)", "var(--failed)", "var(--dim)"];
const [WIDE, HIGH] = [420, 240];
const [LEFT, RIGHT, TOP, BOTTOM] = [56, WIDE - 12, 12, HIGH - 34];

/** @param {{plot: PlotData, small?: boolean}} props */
export function Plot({ plot, small = false }) {
  const all = plot.series.map((one) => ({ ...one, points: one.y.map((y, index) => /** @type {[number, number | null]} */ ([one.x?.[index] ?? index, y])) }));
  const points = all.flatMap((one) => one.points.filter(([, y]) => y !== null));
  if (!points.length) return html`<p class="dim">${t("views.no_points")}</p>`;
  const across = axis(points.map(([x]) => x), LEFT, RIGHT, plot.x?.scale === "log");
  const level = all.some((one) => one.kind === "bars") && plot.y?.scale !== "log" ? [0] : [];
  const up = axis(points.map(([, y]) => /** @type {number} */ (y)).concat(level), BOTTOM, TOP, plot.y?.scale === "log");
  const bar = Math.max(1, ((RIGHT - LEFT) / points.length) * 0.8);
  const ground = level.length ? up.at(0) : BOTTOM;
  return html`<figure class="plot">
    ${plot.title && !small && html`<figcaption>${plot.title}</figcaption>`}
    <svg viewBox=${`0 0 ${WIDE} ${HIGH}`} role="img" aria-label=${described(plot)}>
      ${up.ticks.map(([value, y]) => html`<line x1=${LEFT} x2=${RIGHT} y1=${y} y2=${y} class="grid" /><text x=${LEFT - 6} y=${y + 4} text-anchor="end">${short(value)}</text>`)}
      ${across.ticks.map(([value, x]) => html`<text x=${x} y=${BOTTOM + 15} text-anchor="middle">${short(value)}</text>`)}
      ${plot.x?.label && html`<text x=${(LEFT + RIGHT) / 2} y=${HIGH - 4} text-anchor="middle" class="axis">${plot.x.label}</text>`}
      ${plot.y?.label && html`<text transform=${`translate(11 ${(TOP + BOTTOM) / 2}) rotate(-90)`} text-anchor="middle" class="axis">${plot.y.label}</text>`}
      ${all.map((one, index) => {
        const color = COLORS[index % COLORS.length];
        const placed = one.points.map(([x, y]) => (y === null ? null : /** @type {const} */ ([across.at(x), up.at(y)])));
        if (one.kind === "bars") return placed.map((at) => at && html`<rect x=${at[0] - bar / 2} y=${Math.min(at[1], ground)} width=${bar} height=${Math.abs(ground - at[1])} fill=${color} />`);
        if (one.kind === "points") return placed.map((at) => at && html`<circle cx=${at[0]} cy=${at[1]} r="3" fill=${color} />`);
        const path = placed.map((at, place) => at && `${placed[place - 1] ? "L" : "M"}${at.join(" ")}`).filter(Boolean).join("");
        return html`<path d=${path} fill="none" stroke=${color} stroke-width="2" stroke-linecap="round" />`;
      })}
    </svg>
    ${all.length > 1 && html`<p class="legend">${all.map((one, index) => html`<span><i style=${{ background: COLORS[index % COLORS.length] }}></i>${one.name || index + 1}</span>`)}</p>`}
  </figure>`;
}

/** Where values lie between two edges, and five of them to write beside. @param {number[]} values @param {number} from @param {number} to @param {boolean} log */
function axis(values, from, to, log) {
  const scaled = (/** @type {number} */ value) => (log ? Math.log10(Math.max(value, Number.MIN_VALUE)) : value);
  const [low, high] = ends(values).map(scaled);
  const at = (/** @type {number} */ value) => from + ((scaled(value) - low) / (high - low || 1)) * (to - from);
  const ticks = (high > low ? [0, 0.25, 0.5, 0.75, 1] : [0]).map((share) => {
    const value = low + (high - low) * share;
    return /** @type {[number, number]} */ ([log ? 10 ** value : value, at(log ? 10 ** value : value)]);
  });
  return { at, ticks };
}

/** The least and the most. @param {number[]} values */
const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

/** @param {number} number */
const short = (number) => String(Number(number.toPrecision(3)));

/** The plot in words. @param {PlotData} plot */
const described = (plot) => [plot.title || t("views.plot"), ...plot.series.map((one) => {
  const known = /** @type {number[]} */ (one.y.filter((y) => y !== null));
  const [least, most] = ends(known);
  return t("views.series", { name: one.name ?? "", count: known.length, least: short(least), most: short(most) });
})].join(". ");
