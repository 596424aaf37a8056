// Pictures of a sweep as a grid over one or two of the settings in which they differ; and as one labelled picture to keep.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";
import { keep } from "./actions.js";
import { axesOf, gridOf, NONE, valuesOf } from "./axes.js";
import { loaded } from "./stage.js";

/** @import { App } from "../types.d.ts" */
/** @import { Item } from "./found.js" */
/** @import { Axis } from "./axes.js" */

const SIDE = 256;

/** @param {{app: App, items: Item[]}} props */
export function Sweep({ app, items }) {
  const [axes, setAxes] = useState(/** @type {Axis[] | null} */ (null));
  const [names, setNames] = useState(/** @type {[string, string]} */ (["", ""]));
  useEffect(() => void app.toasts.attempt(async () => {
    const found = await differing(app, items);
    setAxes(found);
    setNames([found[0]?.name ?? "", found[1]?.name ?? ""]);
  }), []);
  if (!axes) return html`<p role="status">${t("app.loading")}</p>`;
  const [across, down] = names.map((name) => axes.find((one) => one.name === name) ?? NONE);
  const cells = gridOf(items, across, down);
  const choose = (/** @type {number} */ place) => html`<label>${t(place ? "results.down" : "results.across")}
    <select value=${names[place]} onChange=${(/** @type {any} */ event) => setNames(place ? [names[0], event.target.value] : [event.target.value, names[1]])}>
      <option value="">${t("none")}</option>${axes.filter((one) => one.name !== names[1 - place]).map((one) => html`<option key=${one.name} value=${one.name}>${nameOf(one)}</option>`)}</select></label>`;
  const row = (/** @type {Item[][]} */ line, /** @type {number} */ y) => html`<tr key=${y}>${down.name && html`<th scope="row">${down.values[y]}</th>`}
    ${line.map((cell, x) => html`<td key=${x}>${cell.length > 0 && html`<button type="button" aria-label=${t("results.cell", { name: [across.values[x], down.values[y]].filter(Boolean).join(", ") })}
      onClick=${() => app.commands.run("viewer.open", { items: cell.length > 1 ? cell : items, index: cell.length > 1 ? 0 : items.indexOf(cell[0]) })}>
      <img src=${`${cell[0].row?.url}/thumbnail?size=${SIDE}`} alt="" loading="lazy" />${cell.length > 1 && html`<span class="of">+${cell.length - 1}</span>`}</button>`}</td>`)}</tr>`;
  return html`<div class="sweep">
    <div class="steer">${choose(0)}${choose(1)}
      <button type="button" onClick=${() => app.toasts.attempt(async () => keep(await sheet(cells, across, down), "sweep.png"))}><${Icon} name="download" />${t("results.sheet")}</button></div>
    <div class="cells" tabindex="0" role="region" aria-label=${t("results.sweep")}><table>
      <thead><tr>${down.name && html`<td class="dim">${nameOf(down)} \\ ${nameOf(across)}</td>`}${across.values.map((value) => html`<th key=${value} scope="col">${value || t("results.picture")}</th>`)}</tr></thead>
      <tbody>${cells.map(row)}</tbody></table></div>
  </div>`;
}

/** @param {Axis} axis */
const nameOf = ({ name }) => (name === "#" ? t("results.number") : name);

/** @param {App} app @param {Item[]} items */
async function differing(app, items) {
  const jobs = [...new Map(items.map((item) => [item.job.id, item.job])).values()];
  const inputs = new Map(jobs.map((job) => [job.id, job.inputs ?? {}]));
  if (new Set([...inputs.values()].map((one) => JSON.stringify(one))).size === jobs.length) return axesOf(items, inputs);
  const whole = await Promise.all(jobs.map(async (job) => /** @type {const} */ ([job.id, { ...job.inputs, ...valuesOf(await app.api.get(`/api/jobs/${job.id}/workflow`)) }])));
  return axesOf(items, new Map(whole));
}

/** The grid as one picture. @param {Item[][][]} cells @param {Axis} across @param {Axis} down @returns {Promise<string>} Its address. */
async function sheet(cells, across, down) {
  const [left, top, gap] = [down.name ? 150 : 0, across.name ? 40 : 0, 6];
  const canvas = new OffscreenCanvas(left + across.values.length * (SIDE + gap) + gap, top + cells.length * (SIDE + gap) + gap);
  const draw = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  draw.fillStyle = "#ffffff";
  draw.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(draw, { fillStyle: "#000000", font: "15px system-ui, sans-serif", textBaseline: "middle", textAlign: "center" });
  if (across.name) across.values.forEach((value, x) => draw.fillText(`${nameOf(across)}: ${value}`.slice(0, 60), left + gap + x * (SIDE + gap) + SIDE / 2, top / 2, SIDE));
  if (down.name) down.values.forEach((value, y) => draw.fillText(`${nameOf(down)}: ${value}`.slice(0, 40), left / 2, top + gap + y * (SIDE + gap) + SIDE / 2, left - 8));
  await Promise.all(cells.flatMap((line, y) => line.map(async ([item], x) => {
    if (!item?.row) return;
    const picture = await loaded(`${item.row.url}/thumbnail?size=${SIDE}`);
    const by = Math.min(SIDE / picture.naturalWidth, SIDE / picture.naturalHeight);
    const [wide, high] = [picture.naturalWidth * by, picture.naturalHeight * by];
    draw.drawImage(picture, left + gap + x * (SIDE + gap) + (SIDE - wide) / 2, top + gap + y * (SIDE + gap) + (SIDE - high) / 2, wide, high);
  })));
  return URL.createObjectURL(await canvas.convertToBlob());
}
