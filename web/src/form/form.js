// The form view: a workflow as those see it who only use it. Values go to the document through the targets of the interface.
import { useEffect, useState } from "preact/hooks";
import { copyText } from "../copying.js";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { Control } from "../fields/index.js";
import { NodeField, wrongAt, roomyHeight } from "../fields/node-field.js";
import { publicInput } from "../model/catalog.js";
import { inOrder, nodeAt, own, split, titleOf } from "../model/graph.js";
import { setPublic } from "../model/promote.js";
import { ProblemText } from "../node/node-problems.js";
import { hasEnded } from "../server/runs.js";
import { t } from "../text/index.js";
import { Output } from "../views/output.js";
import { linkTo } from "./link.js";

/** @import { App, InputSpec, InterfaceInput, Job, OutputRow, Tab, Workflow } from "../types.d.ts" */

/** @param {{app: App}} props */
export function FormView({ app }) {
  const tab = app.tabs.current.value;
  if (!tab) return html`<div class="form-view"><p>${t("form.no_document")}</p></div>`;
  const json = tab.store.json.value;
  const inputs = Object.entries(json.interface?.inputs ?? {});
  const groups = [...new Set(inputs.map(([, spec]) => spec.group ?? ""))];
  const job = app.runs.get(tab.job.value);
  return html`<div class="form-view" key=${tab.key}>
    <form class="form" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()} aria-label=${tab.title.value}>
      <header><h1>${tab.title.value}</h1><button type="button" class="plain" onClick=${() => copyLink(app, tab)}><${Icon} name="link" /> ${t("form.copy_link")}</button></header>
      ${json.description && html`<p class="about">${json.description}</p>`}
      <${Problems} app=${app} tab=${tab} job=${job} />
      ${groups.map((group) => html`<fieldset key=${group}>${group && html`<legend>${group}</legend>`}
        ${inputs.filter(([, spec]) => (spec.group ?? "") === group).map(([name, spec]) => html`<${PublicField} key=${name} app=${app} tab=${tab} name=${name} spec=${spec} />`)}</fieldset>`)}
      ${inputs.length === 0 && html`<p class="dim">${t("form.none")}</p><${AllInputs} app=${app} tab=${tab} />`}
      <div class="form-run">${job && !hasEnded(job.row.value) && html`<button type="button" onClick=${() => app.commands.run("run.cancel")}>${t("run.cancel")}</button>`}
        <button type="button" class="main" onClick=${() => app.commands.run("run.all")}><${Icon} name="play" /> ${t("run.all")} <kbd>Ctrl ↵</kbd></button></div>
    </form>
    <section class="form-results" aria-label=${t("form.results")}>${job ? html`<${Progress} key=${job.id} app=${app} tab=${tab} job=${job} /><${Results} app=${app} job=${job} />` : html`<p class="dim">${t("form.no_results")}</p>`}</section>
  </div>`;
}

/** @param {App} app @param {Tab} tab */
async function copyLink(app, tab) {
  if (!tab.file.peek()) await app.commands.run("document.save");
  if (!tab.file.peek()) return;
  await copyText(app, linkTo(tab), t("form.copied"));
}

/** @param {{app: App, tab: Tab, name: string, spec: InterfaceInput}} props */
function PublicField({ app, tab, name, spec }) {
  const json = tab.store.json.value;
  const made = publicInput(app.catalog.value, json, json, name, spec);
  const input = kept(json, spec, made);
  if (!input.schema) return null;
  const [id, socket] = split(spec.to[0] ?? "");
  const back = "default" in spec ? spec.default : undefined;
  const typed = own(nodeAt(json, id)?.inputs, socket);
  const value = typed === undefined ? input.default : typed;
  const write = (/** @type {any} */ next, { merge = false } = {}) => tab.store.change(t("field.set", { input: input.title }),
    (one) => /** @type {any} */ (setPublic(one, spec.to, next === undefined ? back : next)), { merge: merge ? `form ${name}` : "" });
  const wrong = [...new Set([...spec.to.map((to) => wrongAt(app, tab, ...split(to))), ...tab.problems.value.filter((one) => !one.node && one.socket === name).map((one) => one.message)])].join(" ").trim();
  return html`<${Control} app=${app} tab=${tab} input=${input} value=${value} set=${JSON.stringify(value ?? null) !== JSON.stringify(back ?? null)} where="form" place=${name} targets=${spec.to}
    height=${roomyHeight(input)} wrong=${wrong} change=${write} />
    ${spec.description && html`<p class="field-help">${spec.description}</p>`}`;
}

/** The spec of a public input depends on the value that is set now; a field's does not, and stays the same object while one types.
 * @type {WeakMap<InterfaceInput, {schema: string, input: InputSpec}>} */
const specs = new WeakMap();

/** @param {Workflow} json @param {InterfaceInput} spec @param {InputSpec} made */
function kept(json, spec, made) {
  const schema = JSON.stringify([made.schema, made.type, made.title]);
  const known = specs.get(spec);
  if (known?.schema === schema) return known.input;
  specs.set(spec, { schema, input: made });
  return made;
}

/** Without an interface: every field there is. @param {{app: App, tab: Tab}} props */
function AllInputs({ app, tab }) {
  const json = tab.graph.value;
  return inOrder(json).map((id) => {
    const spec = app.catalog.value.specOf(tab.store.json.value, /** @type {any} */ (json.nodes)[id]);
    const open = spec.inputs.filter((input) => input.schema && own(nodeAt(json, id)?.links, input.name) === undefined);
    return open.length > 0 && html`<fieldset key=${id}><legend>${titleOf(json, id, spec)}</legend>${open.map((input) => html`<${NodeField} key=${input.name} app=${app} tab=${tab} ids=${[id]} input=${input} where="form" />`)}</fieldset>`;
  });
}

/** What is wrong beside the fields. @param {{app: App, tab: Tab, job: Job | undefined}} props */
function Problems({ app, tab, job }) {
  const targets = new Set(Object.values(tab.store.json.value.interface?.inputs ?? {}).flatMap((one) => one.to));
  const all = [...tab.problems.value, ...(job?.problems.value ?? [])].filter((one) => !targets.has(`${one.node}.${one.socket}`));
  const shown = all.filter((one, index) => all.findIndex((other) => other.message === one.message && other.node === one.node) === index);
  return shown.length > 0 && html`<div role="alert"><ul class="form-problems">${shown.map((one) => html`<${ProblemText} key=${one.node + one.message} app=${app} tab=${tab} problem=${one} />`)}</ul></div>`;
}

/** How far the run is, and the picture as it comes. @param {{app: App, tab: Tab, job: Job}} props */
function Progress({ app, tab, job }) {
  const [path, setPath] = useState("");
  useEffect(() => app.runs.onNode((one, told) => one.id === job.id && !told.includes("/") && job.node(told).peek().state === "running" && setPath(told)), [job]);
  const { state } = job.row.value;
  if (hasEnded(job.row.value)) return html`<p class=${`form-state ${state}`} role="status">${t(`state.${state}`)}</p>`;
  const run = path ? job.node(path).value : null;
  const [json, id] = [tab.store.json.value, path.replace(/\[.*/, "")];
  const entry = nodeAt(json, id);
  return html`<div class="form-progress"><p role="status">${t(`state.${state}`)}${entry && `: ${titleOf(json, id, app.catalog.value.specOf(json, entry))}`}${run?.total ? ` ${run.done}/${run.total}` : ""}</p>
    <progress max="1" value=${run?.total ? run.done / run.total : null} aria-label=${t("state.running")}></progress>
    ${run?.preview && html`<img src=${run.preview} alt=${t("form.preview")} />`}</div>`;
}

/** @param {{app: App, job: Job}} props */
function Results({ app, job }) {
  const open = (/** @type {OutputRow} */ row) => app.commands.run("viewer.open", { rows: Object.values(job.outputs.peek()).flat(), index: Object.values(job.outputs.peek()).flat().indexOf(row), job: job.id });
  return Object.entries(job.outputs.value).map(([name, rows]) => html`<figure key=${name}><${Output} rows=${rows} open=${open} />
    <figcaption>${rows.filter((row) => row.url).map((row) => html`<a key=${row.url} href=${row.url} download=${row.name ?? name}><${Icon} name="download" /> ${row.name ?? name}</a>`)}</figcaption></figure>`);
}
