// The interface as a list that is edited: what the form asks for, in which order, and what it gives.
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { on } from "./parts.js";
import { numberIn } from "./number.js";
import { fieldOf } from "./index.js";
import { publicInput } from "../model/catalog.js";
import { put, setPublicInput, setPublicOutput } from "../model/edit.js";
import { freeName, nodesOf, split, titleOf } from "../model/graph.js";
import { arranged } from "../model/promote.js";
import { editGraph } from "../tabs.js";
import { t } from "../text/index.js";

/** @import { App, InputSpec, InterfaceInput, Tab } from "../types.d.ts" */

/** @param {{app: App, tab: Tab}} props */
export function InterfaceEditor({ app, tab }) {
  const [graph, json, catalog] = [tab.graph.value, tab.store.json.value, app.catalog.value];
  const inputs = Object.entries(graph.interface?.inputs ?? {});
  const outputs = graph.interface?.outputs ?? {};
  const free = Object.entries(nodesOf(graph)).flatMap(([id, entry]) => {
    const spec = catalog.specOf(json, entry);
    return spec.outputs.map((output) => ({ from: `${id}.${output.name}`, title: `${titleOf(graph, id, spec)}: ${output.name}` }));
  }).filter((one) => !Object.values(outputs).includes(one.from));
  const offer = (/** @type {string} */ from) => from && editGraph(tab, t("interface.outputs"), (one) => setPublicOutput(one, freeName(split(from)[1], (name) => name in outputs), from));
  return html`<h3>${t("interface.inputs")}</h3>
    ${inputs.length === 0 && html`<p class="dim">${t("form.none")}</p>`}
    <ol class="interface">${inputs.map(([name, spec], index) => html`<${Row} key=${spec.to.join(" ") || name} tab=${tab} name=${name} spec=${spec} index=${index} input=${publicInput(catalog, json, graph, name, spec)} />`)}</ol>
    <h3>${t("interface.outputs")}</h3>
    <ul class="facts">${Object.entries(outputs).map(([name, from]) => html`<li key=${name}><input type="text" value=${name} aria-label=${t("interface.name")} onChange=${on((event) => {
        const next = freeName(event.target.value, (one) => one !== name && one in outputs);
        editGraph(tab, t("rename"), (one) => setPublicOutput(setPublicOutput(one, name, undefined), next, from));
      })} /><code>${from}</code><button type="button" class="plain" aria-label=${t("interface.remove", { name })}
      onClick=${() => editGraph(tab, t("interface.remove", { name }), (one) => setPublicOutput(one, name, undefined))}><${Icon} name="trash" /></button></li>`)}</ul>
    <select aria-label=${t("interface.add_output")} onChange=${on((event) => (offer(event.target.value), (event.target.value = "")))}><option value="">${t("interface.add_output")}</option>
      ${free.map((one) => html`<option key=${one.from} value=${one.from}>${one.title}</option>`)}</select>`;
}

/** @param {{tab: Tab, name: string, spec: InterfaceInput, index: number, input: InputSpec}} props */
function Row({ tab, name, spec, index, input }) {
  const field = fieldOf(input);
  const label = spec.title || name;
  const write = (/** @type {string} */ part, /** @type {any} */ value) => editGraph(tab, t("interface.change", { name: label }), (one) => setPublicInput(one, name, put(spec, part, value)), { merge: `interface ${name} ${part}` });
  const move = (/** @type {number} */ to) => editGraph(tab, t("interface.up", { name: label }), (one) => arranged(one, (rows) => rows.toSpliced(index, 1).toSpliced(to, 0, rows[index])));
  const rename = on((event) => editGraph(tab, t("rename"), (one) => arranged(one, (rows) => rows.map(([key, value]) =>
    [key === name ? freeName(event.target.value, (free) => free !== name && rows.some(([taken]) => taken === free)) : key, value]))));
  /** @param {keyof InterfaceInput} part @param {(text: string) => any} read @param {(value: any) => string} [shown] */
  const line = (part, read, shown = String) => html`<label>${t(`interface.${part}`)}<input type="text" value=${spec[part] === undefined ? "" : shown(spec[part])} onChange=${on((event) => {
      try {
        event.target.setCustomValidity("");
        write(part, event.target.value.trim() === "" ? undefined : read(event.target.value));
      } catch (error) {
        event.target.setCustomValidity(/** @type {Error} */ (error).message);
        event.target.reportValidity();
      }
    })} /></label>`;
  const number = (/** @type {string} */ text) => numberIn({ ...field, minimum: undefined, maximum: undefined, schema: {} }, text);
  const one = (/** @type {string} */ text) => (field.schema.type === "string" ? text : JSON.parse(text));
  const said = (/** @type {any} */ value) => (typeof value === "string" ? value : JSON.stringify(value));
  const numeric = field.kind === "number" || field.kind === "seed";
  return html`<li><details><summary>${label} <small>${spec.to.join(", ")}</small></summary>
      <label>${t("interface.name")}<input type="text" value=${name} onChange=${rename} /></label>
      ${line("title", String)}${line("description", String)}${line("group", String)}
      ${numeric && html`<div class="three">${line("minimum", number)}${line("maximum", number)}${line("step", number)}</div>`}
      ${(field.choices || field.kind === "text") && line("choices", (text) => text.split("\n").flatMap((row) => row.split(",")).map((row) => row.trim()).filter(Boolean), (all) => all.join(", "))}
      ${line("default", numeric ? number : one, said)}</details>
    <button type="button" class="plain" aria-label=${t("interface.up", { name: label })} disabled=${index === 0} onClick=${() => move(index - 1)}><${Icon} name="up" /></button>
    <button type="button" class="plain" aria-label=${t("interface.remove", { name: label })} onClick=${() => editGraph(tab, t("interface.remove", { name: label }), (graph) => setPublicInput(graph, name, undefined))}><${Icon} name="trash" /></button></li>`;
}
