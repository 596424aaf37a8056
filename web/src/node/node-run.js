// What the run shows on a node: its state in the title, progress and picture below. Each reads its own signal, so an event of one node
// draws nothing else.
import { html } from "../html.js";
import { IDLE } from "../server/runs.js";
import { runPath } from "../tabs.js";
import { t } from "../text/index.js";

/** @import { App, NodeRun, NodeSpec, OutputRow, Tab } from "../types.d.ts" */

/** The state of a node in the job that the tab shows. @param {App} app @param {Tab} tab @param {string} id @returns {NodeRun} */
export function runOf(app, tab, id) {
  const job = app.runs.get(tab.job.value);
  return job ? job.node(runPath(tab, id)).value : IDLE;
}

/** Milliseconds for people. @param {number} ms */
export const duration = (ms) => (ms < 1 ? "<1 ms" : ms < 1000 ? `${Math.round(ms)} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`);

/** @param {{app: App, tab: Tab, id: string}} props */
export function NodeState({ app, tab, id }) {
  const run = runOf(app, tab, id);
  if (!run.state) return null;
  const text = t(`state.${run.state}`);
  return html`<span class=${`node-state ${run.state}`} title=${run.reason ? `${text}: ${run.reason}` : text}>${run.state === "computed" && run.ms ? duration(run.ms) : text}</span>`;
}

/** @param {{app: App, tab: Tab, id: string, spec: NodeSpec}} props */
export function NodeFoot({ app, tab, id, spec }) {
  const run = runOf(app, tab, id);
  const share = run.parts ? run.finished / run.parts : run.total ? run.done / run.total : null;
  const rows = outputRows(app, tab, id, spec);
  const picture = run.preview || (run.state !== "running" && rows.find((row) => row.media_type?.startsWith("image/"))?.url);
  return html`
    ${run.state === "running" && html`<progress class="node-progress" max="1" value=${share} aria-label=${t("state.running")}></progress>`}
    ${picture && html`<img class="node-picture" src=${run.preview || `${picture}/thumbnail?size=512`} alt="" draggable="false" />`}`;
}

/** The files and values of a node, if the job that the tab shows made some. @param {App} app @param {Tab} tab @param {string} id @param {NodeSpec} spec
 * @returns {OutputRow[]} */
export function outputRows(app, tab, id, spec) {
  const job = app.runs.get(tab.job.value);
  if (!job || !spec.output || tab.path.value.length) return [];
  const outputs = job.outputs.value;
  const published = Object.entries(tab.store.json.value.interface?.outputs ?? {}).filter(([, from]) => from.split(".", 1)[0] === id).map(([name]) => name);
  return [...published, id].flatMap((name) => outputs[name] ?? []);
}
