// A field of nodes in full size: of one node, or of several that are set together.
import { html } from "../html.js";
import { disconnect, setValue } from "../model/edit.js";
import { nodeAt, own, split } from "../model/graph.js";
import { promoted } from "../model/promote.js";
import { editGraph, runPath } from "../tabs.js";
import { t } from "../text/index.js";
import { Control, fieldOf } from "./index.js";

/** @import { App, InputSpec, Problem, Tab } from "../types.d.ts" */

/** How high a control is where there is room. @param {InputSpec} input */
export const roomyHeight = (input) => (["prompt", "multiline", "json"].includes(fieldOf(input).kind) ? 110 : 80);

/** @param {Problem} problem */
const inWords = ({ message, expected, got, hint }) => [message, expected && `${t("problem.expected")} ${expected}.`, got && `${t("problem.got")} ${got}.`, hint].filter(Boolean).join(" ");

/** What is wrong with a socket: in the document, and in the run that is shown. @param {App} app @param {Tab} tab @param {string} id @param {string} input */
export const wrongAt = (app, tab, id, input) => [...new Set([...tab.problems.value, ...(app.runs.get(tab.job.value)?.problems.value ?? [])]
  .filter((one) => one.socket === input && (one.node === id || one.node === runPath(tab, id))).map(inWords))].join(" ");

/** @param {{app: App, tab: Tab, ids: string[], input: InputSpec, where?: "inspector" | "form"}} props */
export function NodeField({ app, tab, ids, input, where = "inspector" }) {
  const graph = tab.graph.value;
  const [id] = ids;
  const entry = nodeAt(graph, id);
  const links = own(entry?.links, input.name);
  const write = (/** @type {any} */ next, { merge = false } = {}) => editGraph(tab, t("field.set", { input: input.title }), (one) =>
    ids.reduce((all, node) => setValue(all, node, input.name, next), one), { merge: merge ? `${ids}.${input.name}` : "" });
  if (links !== undefined && ids.length === 1) {
    return html`<div class="linked-field"><span class="field-label">${input.title}</span>${[links].flat().map((from) => html`<span key=${from}>
      <button type="button" class="plain" title=${t("inspector.go", { node: from })} onClick=${() => reveal(app, tab, split(from)[0])}>${t("field.linked", { source: from })}</button>
      <button type="button" class="plain" aria-label=${t("connect.unlink", { input: input.title })} onClick=${() => editGraph(tab, t("connect.unlink", { input: input.title }), (one) => disconnect(one, id, input.name, from))}>✕</button></span>`)}</div>`;
  }
  if (!input.schema) return html`<div class="linked-field"><span class="field-label">${input.title}</span><button type="button" class="plain" disabled=${!app.commands.find("connect.list")}
    onClick=${() => app.commands.run("connect.list", { node: id, socket: input.name, side: "input" })}>${t("field.unlinked")}</button></div>`;
  const values = ids.map((node) => own(nodeAt(graph, node)?.inputs, input.name));
  const mixed = values.some((one) => JSON.stringify(one ?? input.default) !== JSON.stringify(values[0] ?? input.default));
  return html`<${Control} app=${app} tab=${tab} input=${input} value=${values[0] === undefined ? input.default : values[0]} set=${values.some((one) => one !== undefined)} mixed=${mixed}
    where="inspector" within=${where} place=${`${id}.${input.name}`} targets=${ids.map((node) => `${node}.${input.name}`)} height=${roomyHeight(input)} promoted=${promoted(graph, `${id}.${input.name}`) !== ""}
    wrong=${ids.map((node) => wrongAt(app, tab, node, input.name)).join(" ").trim()} change=${write} key=${`${where} ${ids}.${input.name}`} />`;
}

/** Select a node and bring it into view. @param {App} app @param {Tab} tab @param {string} id */
function reveal(app, tab, id) {
  tab.selection.value = new Set([id]);
  app.canvas?.reveal(id);
}
