// What a node gave, as its type declares it (`view` in the catalog) or else by the kind of the value. Data from packs, never their code.
import { html } from "../html.js";
import { t } from "../text/index.js";
import { Compare } from "./compare.js";
import { Plot } from "./plot.js";

/** @import { OutputRow } from "../types.d.ts" */

/** The files and values of an output. `small` on a node, where there is little room; `open` shows a picture large.
 * @param {{rows: OutputRow[], view?: string, small?: boolean, open?(row: OutputRow): void}} props */
export function Output({ rows: given, view = "", small = false, open }) {
  const rows = given.flatMap((row) => itemsOf(row, view));
  const pictures = rows.filter((row) => isPicture(row));
  if (view === "compare" && pictures.length >= 2) {
    const half = Math.floor(pictures.length / 2); // of lists come all the first pictures, then all the second ones
    return pictures.slice(0, small ? 1 : half).map((row, index) => html`<${Compare} key=${row.digest} before=${row.url} after=${pictures[half + index].url} />`);
  }
  const shown = small ? rows.slice(0, 4) : rows;
  return html`<div class=${`outputs ${pictures.length > 1 ? "several" : ""}`}>
    ${shown.map((row, index) => html`<${One} key=${row.digest ?? index} row=${row} view=${view} small=${small} open=${open} />`)}
    ${rows.length > shown.length && html`<small>${t("views.more", { count: rows.length - shown.length })}</small>`}
  </div>`;
}

/** A view over a list gives one row for each item, or from the cache one row whose value is the list. @param {OutputRow} row @param {string} view
 * @returns {OutputRow[]} */
const itemsOf = (row, view) => (["text", "table", "plot"].includes(view) && Array.isArray(row.value) ? row.value.map((value) => ({ ...row, value })) : [row]);

/** The view that fits a value of which nobody said how to show it. @param {OutputRow} row */
export const viewOf = ({ value }) => (Array.isArray(value?.series) ? "plot" : Array.isArray(value?.rows) && Array.isArray(value?.columns) ? "table" : "");

/** @param {OutputRow} row */
export const isPicture = (row) => Boolean(row.media_type?.startsWith("image/"));

/** @param {{row: OutputRow, view: string, small: boolean, open?(row: OutputRow): void}} props */
function One({ row, view, small, open }) {
  const name = row.name ?? "";
  if (view === "video" && row.media_type?.startsWith("video/")) return html`<video src=${row.url} controls loop muted aria-label=${name}></video>`;
  if (isPicture(row)) {
    // a picture that moves has to be had whole; others as large as they are shown
    const source = view === "video" ? row.url : `${row.url}/thumbnail?size=${small ? 512 : 1024}`;
    return html`<button type="button" class="picture" title=${name} aria-label=${t("views.open", { name })} onClick=${() => open?.(row)} disabled=${!open}>
      <img src=${source} alt=${name} loading="lazy" draggable="false" /></button>`;
  }
  if (row.url) return html`<a class="file" href=${`${row.url}?name=${encodeURIComponent(name)}`} download=${name}>${name || t("views.file")}</a>`;
  if (row.value === undefined) return html`<p class="dim">${t("views.no_value", { type: row.type ?? "" })}</p>`;
  if (!view) view = viewOf(row);
  if (view === "table" && Array.isArray(row.value?.rows)) return html`<${Table} table=${row.value} most=${small ? 6 : 1000} />`;
  if (view === "plot" && Array.isArray(row.value?.series)) return html`<${Plot} plot=${row.value} small=${small} />`;
  return html`<pre class="value" tabindex="0" aria-label=${t("views.value")}>${typeof row.value === "string" ? row.value : JSON.stringify(row.value, null, 1)}</pre>`;
}

/** @param {{table: {columns?: string[], rows: any[][]}, most: number}} props */
const Table = ({ table, most }) => html`<div class="table" tabindex="0" role="region" aria-label=${t("views.table")}><table>
  ${table.columns && html`<thead><tr>${table.columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>`}
  <tbody>${table.rows.slice(0, most).map((row) => html`<tr>${row.map((cell) => html`<td class=${typeof cell === "number" ? "number" : ""}>${shown(cell)}</td>`)}</tr>`)}</tbody>
</table>${table.rows.length > most && html`<small>${t("views.more", { count: table.rows.length - most })}</small>`}</div>`;

/** @param {any} cell */
const shown = (cell) => (cell === null ? "" : typeof cell === "number" && !Number.isInteger(cell) ? String(Number(cell.toPrecision(6))) : String(cell));
