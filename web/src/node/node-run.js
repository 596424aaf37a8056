// What the run shows on a node: its state in the title, progress and picture below. Each reads its own signal, so an event of one node
// draws nothing else.
import { html } from "../html.js";
import { IDLE } from "../server/runs.js";
import { runPath } from "../tabs.js";
import { t } from "../text/index.js";
import { isPicture, Output } from "../views/output.js";
import { Questions } from "./questions.js";

/** @import { App, NodeRun, NodeSpec, OutputRow, Tab } from "../types.d.ts" */

/** The state of a node in the job that the tab shows. @param {App} app @param {Tab} tab @param {string} id @returns {NodeRun} */
export function runOf(app, tab, id) {
  const job = app.runs.get(tab.job.value);
  return job ? job.node(runPath(tab, id)).value : IDLE;
}

/** Milliseconds for people. @param {number} ms */
export const duration = (ms) => (ms < 1 ? "<1 ms" : ms < 1000 ? `${Math.round(ms)} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`);

/** Bytes for people. @param {number} bytes */
export function size(bytes) {
  const power = Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power && bytes / 1024 ** power < 10 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

/** The state, and on a click (or Enter) all that is known of it. @param {{app: App, tab: Tab, id: string}} props */
export function NodeState({ app, tab, id }) {
  const run = runOf(app, tab, id);
  const forecast = tab.path.value.length ? undefined : tab.forecast.value?.nodes.get(id);
  if (forecast) {
    const text = t(`forecast.${forecast.state === "hit" ? "hit" : forecast.state === "not_needed" ? "not_needed" : "run"}`);
    return html`<span class=${`node-state forecast ${forecast.state}`} title=${forecast.why || text}>${text}${forecast.ms ? ` ~${duration(forecast.ms)}` : ""}</span>`;
  }
  if (!run.state) return null;
  const text = t(`state.${run.state}`);
  const rows = [[t("badge.reason"), run.reason], [t("badge.time"), run.ms ? duration(run.ms) : ""], [t("badge.size"), run.bytes === null ? "" : size(run.bytes)],
    [t("badge.memory"), run.peak === null ? "" : size(run.peak)], [t("badge.parts"), run.parts ? t("queue.progress", { done: run.finished, total: run.parts }) : ""]];
  return html`<details class=${`node-state ${run.state}`} data-control onKeyDown=${keys} onFocusOut=${shutByLeaving}>
    <summary title=${run.reason ? `${text}: ${run.reason}` : text}>${run.state === "computed" && run.ms ? duration(run.ms) : text}</summary>
    <dl class="node-facts"><dt>${text}</dt>${rows.map(([name, value]) => value && html`<dd key=${name}><span class="dim">${name}</span> ${value}</dd>`)}</dl>
  </details>`;
}

/** @param {any} event */
function keys(event) {
  if (event.key !== "Escape" || !event.currentTarget.open) return;
  event.stopPropagation();
  event.currentTarget.open = false;
}

/** @param {any} event */
const shutByLeaving = (event) => event.currentTarget.contains(event.relatedTarget) || (event.currentTarget.open = false);

/** @param {{app: App, tab: Tab, id: string, spec: NodeSpec}} props */
export function NodeFoot({ app, tab, id, spec }) {
  const run = runOf(app, tab, id);
  const share = run.parts ? run.finished / run.parts : run.total ? run.done / run.total : null;
  const rows = run.state === "running" ? [] : outputRows(app, tab, id, spec);
  const preview = app.settings.previews.value && !rows.length ? run.preview : "";
  const row = rows.find(isPicture);
  const rich = rows.length > 0 && (!row || ["images", "compare", "video"].includes(spec.view ?? ""));
  return html`
    ${run.state === "running" && html`<progress class="node-progress" max="1" value=${share} aria-label=${t("state.running")}></progress>`}
    <${Questions} app=${app} job=${app.runs.get(tab.job.value)} within=${runPath(tab, id)} />
    ${preview ? html`<img class="node-picture" src=${preview} alt=${t(run.state === "running" ? "badge.preview" : "badge.last")} draggable="false" />`
    : rich ? html`<div class="node-output" data-control><${Output} rows=${rows} view=${spec.view} small open=${(/** @type {OutputRow} */ one) => showPicture(app, tab, one)} /></div>`
    : row && html`<button type="button" class="node-picture" aria-label=${t("badge.show")} title=${t("badge.show")} onClick=${() => showPicture(app, tab, row)}>
      <img src=${`${row.url}/thumbnail?size=512`} alt="" draggable="false" /></button>`}`;
}

/** @param {App} app @param {Tab} tab @param {OutputRow} row */
function showPicture(app, tab, row) {
  if (app.commands.find("viewer.open")) app.commands.run("viewer.open", { ...row, job: tab.job.peek() });
  else window.open(row.url, "_blank", "noopener");
}

/** The files and values of a node, if the job that the tab shows made some. @param {App} app @param {Tab} tab @param {string} id @param {NodeSpec} spec
 * @returns {OutputRow[]} */
function outputRows(app, tab, id, spec) {
  const job = app.runs.get(tab.job.value);
  if (!job || !spec.output || tab.path.value.length) return [];
  const outputs = job.outputs.value;
  const published = Object.entries(tab.store.json.value.interface?.outputs ?? {});
  // an output goes by its name in the interface, else by its node, and by `node.output` where a node has several
  const ways = spec.outputs.flatMap(({ name }) => [...published.filter(([, from]) => from === `${id}.${name}`).map(([one]) => one), `${id}.${name}`]);
  return [...ways, id].flatMap((name) => outputs[name] ?? []);
}
