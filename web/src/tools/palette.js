// Colours with names, kept in this browser: what a colour stands for in a sketch ("sky", "grass").
import { signal } from "@preact/signals";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";

/** @import { Signal } from "@preact/signals" */
/** @typedef {{name: string, color: string}} Named */

const PLACE = "nodegraph.palette";
/** Of the texts `color_name`. */
const FIRST = { sky: "#7ab8f5", water: "#2f6db3", grass: "#4d9a3f", earth: "#7a5230", stone: "#8b8b86", sun: "#ffd23f", skin: "#e3b48f", night: "#1c2340" };

let kept = /** @type {Signal<Named[]> | null} */ (null);

function colors() {
  if (kept) return kept;
  const first = Object.entries(FIRST).map(([key, color]) => ({ name: t(`color_name.${key}`), color }));
  let found = null;
  try {
    found = JSON.parse(localStorage.getItem(PLACE) ?? "null");
  } catch {
    found = null; // not ours, or damaged: begin anew
  }
  const good = Array.isArray(found) ? found.filter((one) => typeof one?.name === "string" && /^#[0-9a-f]{6}$/.test(one.color)) : first;
  return (kept = signal(/** @type {Named[]} */ (good)));
}

/** @param {Named[]} all */
function keep(all) {
  colors().value = all;
  try {
    localStorage.setItem(PLACE, JSON.stringify(all));
  } catch {
    // a browser that keeps nothing: they last as long as the page
  }
}

/** @param {{color: Signal<string>}} props */
export function Palette({ color }) {
  const all = colors().value;
  const now = all.find((one) => one.color === color.value);
  const name = (/** @type {string} */ text) => keep(text ? [...all.filter((one) => one !== now), { name: text, color: color.peek() }] : all.filter((one) => one !== now));
  return html`<ul class="paint-colors">${all.map((one) => html`<li key=${one.color}><button type="button" aria-pressed=${one === now} onClick=${() => (color.value = one.color)}>
      <i style=${{ background: one.color }}></i>${one.name}</button></li>`)}</ul>
    <div class="row"><input type="color" aria-label=${t("paint.color")} value=${color.value} onInput=${(/** @type {any} */ event) => (color.value = event.target.value)} />
      <input type="text" aria-label=${t("paint.color_name")} placeholder=${t("paint.color_name")} value=${now?.name ?? ""} onChange=${(/** @type {any} */ event) => name(event.target.value.trim())} />
      ${now && html`<button type="button" class="plain" aria-label=${t("paint.forget_color", { name: now.name })} onClick=${() => name("")}><${Icon} name="trash" /></button>`}</div>`;
}
