// The inspector: everything about the selected nodes in full size, or, with nothing selected, about the document.
import { html } from "../html.js";
import { InterfaceEditor } from "../fields/interface.js";
import { NodeField } from "../fields/node-field.js";
import { on } from "../fields/parts.js";
import { put, setDisabled, setTitle } from "../model/edit.js";
import { titleOf } from "../model/graph.js";
import { typeText } from "../model/types.js";
import { duration, runOf } from "../node/node-run.js";
import { editGraph } from "../tabs.js";
import { t } from "../text/index.js";

/** @import { App, NodeSpec, Tab } from "../types.d.ts" */

/** @param {{app: App}} props */
export function Inspector({ app }) {
  const tab = app.tabs.current.value;
  if (!tab) return null;
  const graph = tab.graph.value;
  const ids = [...tab.selection.value].filter((id) => graph.nodes?.[id]);
  const specs = ids.map((id) => app.catalog.value.specOf(tab.store.json.value, /** @type {any} */ (graph.nodes)[id]));
  if (!ids.length) return html`<${AboutDocument} app=${app} tab=${tab} />`;
  if (ids.length === 1) return html`<${AboutNode} key=${ids[0]} app=${app} tab=${tab} id=${ids[0]} spec=${specs[0]} />`;
  const free = (/** @type {string} */ name) => ids.every((id) => graph.nodes?.[id].links?.[name] === undefined);
  const common = specs[0].inputs.filter((input) => input.schema && free(input.name) && specs.every((spec) => spec.inputs.some((one) =>
    one.name === input.name && JSON.stringify([one.type, one.schema]) === JSON.stringify([input.type, input.schema]))));
  return html`<div class="inspector"><p class="dim">${t("inspector.several", { count: ids.length })}</p>
    ${common.map((input) => html`<${NodeField} key=${`${ids} ${input.name}`} app=${app} tab=${tab} ids=${ids} input=${input} />`)}
    ${common.length === 0 && html`<p>${t("inspector.nothing_common")}</p>`}</div>`;
}

/** @param {{app: App, tab: Tab, id: string, spec: NodeSpec}} props */
function AboutNode({ app, tab, id, spec }) {
  const graph = tab.graph.value;
  const entry = /** @type {any} */ (graph.nodes)[id];
  const run = runOf(app, tab, id);
  return html`<div class="inspector">
    <label>${t("inspector.title")}<input type="text" value=${titleOf(graph, id, spec)} onChange=${on((event) => editGraph(tab, t("rename"), (one) => setTitle(one, id, event.target.value === spec.title ? "" : event.target.value)))} /></label>
    <p class="dim"><code>${id}</code> · <code>${entry.type}</code></p>
    ${spec.missing && html`<p class="field-wrong">${t("inspector.missing", { type: entry.type })}</p>`}
    ${spec.deprecated && html`<p class="field-wrong">${spec.deprecated}</p>`}
    ${spec.description && html`<p class="about">${spec.description}</p>`}
    ${spec.inputs.map((input) => html`<${NodeField} key=${input.name} app=${app} tab=${tab} ids=${[id]} input=${input} />`)}
    <h3>${t("inspector.outputs")}</h3>
    <ul class="facts">${spec.outputs.map((output) => html`<li key=${output.name}><span>${output.name}</span><code>${typeText(output.type)}</code></li>`)}</ul>
    ${run.state && html`<h3>${t("inspector.run")}</h3><ul class="facts"><li><span>${t(`state.${run.state}`)}</span><span>${run.ms ? duration(run.ms) : ""}${run.bytes ? ` · ${bytes(run.bytes)}` : ""}</span></li></ul>
      ${run.reason && html`<p class="dim">${run.reason}</p>`}${run.problem?.trace && html`<details><summary>${t("inspector.trace")}</summary><pre>${run.problem.trace}</pre></details>`}`}
    <details><summary>${t("inspector.advanced")}</summary>
      <label class="inline"><input type="checkbox" checked=${Boolean(entry.disabled)} onChange=${on((event) => editGraph(tab, t("inspector.disabled"), (one) => setDisabled(one, [id], event.target.checked)))} /> ${t("inspector.disabled")}</label>
      <ul class="facts"><li><span>${t("inspector.category")}</span><span>${spec.category}</span></li><li><span>${t("inspector.version")}</span><span>${entry.version ?? 1} / ${spec.version}</span></li>
        ${spec.permissions.map((one) => html`<li><span>${t("inspector.wants")}</span><code>${one}</code></li>`)}</ul></details>
  </div>`;
}

/** @param {number} count */
const bytes = (count) => (count > 1e6 ? `${(count / 1e6).toFixed(1)} MB` : count > 1e3 ? `${(count / 1e3).toFixed(1)} kB` : `${count} B`);

/** @param {{app: App, tab: Tab}} props */
function AboutDocument({ app, tab }) {
  const graph = tab.graph.value;
  const write = (/** @type {string} */ name) => on((event) => editGraph(tab, t(`inspector.${name}`), (one) => put(one, name, event.target.value || undefined), { merge: name }));
  return html`<div class="inspector">
    <label>${t("inspector.title")}<input type="text" value=${graph.title ?? ""} onInput=${write("title")} /></label>
    <label>${t("inspector.description")}<textarea rows="3" value=${graph.description ?? ""} onInput=${write("description")}></textarea></label>
    <${InterfaceEditor} app=${app} tab=${tab} /></div>`;
}
