// A node as it is built: its title, sockets and fields, and below it what its run shows. Its places come from geometry.js.
import { useComputed } from "@preact/signals";
import { Control, controlHeight } from "../fields/index.js";
import { wrongAt } from "../fields/node-field.js";
import { setValue } from "../model/edit.js";
import { html } from "../html.js";
import { own } from "../model/graph.js";
import { promoted } from "../model/promote.js";
import { offText } from "../model/rewire.js";
import { typeText } from "../model/types.js";
import { editGraph } from "../tabs.js";
import { t } from "../text/index.js";
import { NodeFoot, NodeState } from "./node-run.js";
import { NodeProblems } from "./node-problems.js";

/** @import { App, InputSpec, OutputSpec, Tab, TypeExpr } from "../types.d.ts" */
/** @import { Item } from "../canvas/scene.js" */
/** @import { Row } from "../model/geometry.js" */

/** @param {{app: App, tab: Tab, item: Item}} props */
export function NodeView({ app, tab, item }) {
  const { id, entry, spec, title, shape, collapsed } = item;
  const input = (/** @type {string} */ name) => /** @type {InputSpec} */ (spec.inputs.find((one) => one.name === name));
  const output = (/** @type {string} */ name) => /** @type {OutputSpec} */ (spec.outputs.find((one) => one.name === name));
  return html`
    <header class="node-head" title=${spec.description.split("\n")[0]}>
      <span class="node-title">${title}</span>
      ${entry.disabled && html`<span class="node-state" title=${offText(app.catalog.value, tab.store.json.value, tab.graph.value, id)}>${t("node.off")}</span>`}
      <${NodeState} app=${app} tab=${tab} id=${id} />
    </header>
    <span class="grip"></span>
    ${collapsed && html`<${ClosedSockets} app=${app} item=${item} />`}
    ${shape.rows.map((row) => html`<div class=${`node-row ${row.kind}`} key=${`${row.kind} ${row.input ?? ""} ${row.index ?? ""} ${row.output ?? ""}`}
        style=${{ top: `${row.y}px`, height: `${row.height}px` }}>
      ${row.input && html`<${Socket} app=${app} id=${id} name=${row.input} side="input" type=${input(row.input).type} index=${row.index ?? 0}
        title=${input(row.input).title} y=${row.kind === "field" ? Math.min(row.height, 30) / 2 : row.height / 2} linked=${own(entry.links, row.input) !== undefined}
        required=${input(row.input).required && own(entry.inputs, row.input) === undefined} />`}
      ${row.kind === "sockets" && row.input && html`<span class="label in">${input(row.input).title}</span>`}
      ${row.kind === "field" && html`<${FieldRow} app=${app} tab=${tab} item=${item} input=${input(/** @type {string} */ (row.input))} row=${row} />`}
      ${row.output && html`<span class="label out">${outputTitle(row.output)}</span>
        <${Socket} app=${app} id=${id} name=${row.output} side="output" type=${output(row.output).type} index=${0} title=${outputTitle(row.output)}
          y=${row.height / 2} linked=${false} required=${false} />`}
    </div>`)}
    <${NodeProblems} app=${app} tab=${tab} id=${id} />
    <${NodeFoot} app=${app} tab=${tab} id=${id} spec=${spec} />`;
}

/** @param {string} name */
const outputTitle = (name) => name.replace(/_/g, " ").replace(/^./, (letter) => letter.toUpperCase());

/** @param {{app: App, item: Item}} props */
const ClosedSockets = ({ app, item: { id, entry, spec } }) => html`
  ${spec.inputs.slice(0, 1).map((input) => html`<${Socket} app=${app} id=${id} name=${input.name} side="input" type=${input.type} index=${0} title=${input.title}
    y=${16} linked=${own(entry.links, input.name) !== undefined} required=${false} />`)}
  ${spec.outputs.slice(0, 1).map((output) => html`<${Socket} app=${app} id=${id} name=${output.name} side="output" type=${output.type} index=${0}
    title=${outputTitle(output.name)} y=${16} linked=${false} required=${false} />`)}`;

/** A socket: its colour and its shape say the type. @param {{app: App, id: string, name: string, side: "input" | "output", type: TypeExpr,
 * index: number, title: string, y: number, linked: boolean, required: boolean}} props */
function Socket({ app, id, name, side, type, index, title, y, linked, required }) {
  const catalog = app.catalog.value;
  return html`<span class=${`socket ${side} ${catalog.shape(type)} ${linked ? "linked" : ""} ${required && !linked ? "required" : ""}`}
    data-of=${id} data-socket=${name} data-side=${side} data-index=${index} tabindex="-1" role="button"
    aria-label=${`${title}: ${typeText(type)}`} title=${`${title}: ${typeText(type)}`}
    style=${{ "--type": catalog.color(type), top: `${y}px` }}></span>`;
}

/** @param {{app: App, tab: Tab, item: Item, input: InputSpec, row: Row}} props */
function FieldRow({ app, tab, item, input, row }) {
  const { id, entry } = item;
  const links = own(entry.links, input.name);
  const wrong = useComputed(() => wrongAt(app, tab, id, input.name)).value;
  const shown = useComputed(() => promoted(tab.graph.value, `${id}.${input.name}`) !== "").value;
  if (links !== undefined) {
    const source = Array.isArray(links) ? links.join(", ") : links;
    return html`<span class="label in">${input.title}</span><span class="label from" title=${source}>${t("field.linked", { source })}</span>`;
  }
  const value = own(entry.inputs, input.name);
  return html`<${Control} app=${app} tab=${tab} input=${input} value=${value === undefined ? input.default : value} set=${value !== undefined}
    where="node" place=${`${id}.${input.name}`} height=${controlHeight(row.height)} wrong=${wrong} promoted=${shown}
    change=${(/** @type {any} */ next, /** @type {{merge?: boolean}} */ { merge = false } = {}) =>
      editGraph(tab, t("field.set", { input: input.title }), (graph) => setValue(graph, id, input.name, next), { merge: merge ? `${id}.${input.name}` : "" })} />`;
}
