// The tree: a row for each node, below it a row for each socket with its value, its field or its links.
import { useMemo, useRef, useState } from "preact/hooks";
import { focusNode, labelOf } from "../canvas/focus.js";
import { endOf } from "../canvas/wiring.js";
import { Control } from "../fields/index.js";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { outputType } from "../model/linked.js";
import { setValue } from "../model/edit.js";
import { edgesOf, inOrder, nodesOf, titleOf } from "../model/graph.js";
import { typeText } from "../model/types.js";
import { NodeState, runOf } from "../node/node-run.js";
import { problemsOf } from "../node/node-problems.js";
import { connectSocket, cut, linksAt } from "../palette/connecting.js";
import { treeKeys } from "../panels/tree.js";
import { editGraph } from "../tabs.js";
import { t } from "../text/index.js";

/** @import { App, Graph, InputSpec, NodeEntry, NodeSpec, Tab } from "../types.d.ts" */
/** @typedef {{app: App, tab: Tab, id: string, entry: NodeEntry, spec: NodeSpec, title: string, open: boolean, first: boolean, readers: string, toggle(id: string): void}} Row */

/** @param {{app: App}} props */
export function Outline({ app }) {
  const tab = app.tabs.current.value;
  const [text, setText] = useState("");
  const [open, setOpen] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  /** Rows as they were drawn, so that a change draws what it changes. @type {{current: Map<string, {row: Row, drawn: any}>}} */
  const known = useRef(new Map());
  const graph = /** @type {Graph} */ (tab?.graph.value ?? {});
  const order = useMemo(() => inOrder(graph), [graph.nodes]);
  const read = useMemo(() => {
    /** @type {Map<string, string[]>} */
    const found = new Map();
    for (const edge of edgesOf(graph)) found.set(edge.source, [...(found.get(edge.source) ?? []), `${edge.output} ${edge.target}.${edge.input}`]);
    return found;
  }, [graph.nodes]);
  if (!tab) return null;
  const toggle = (/** @type {string} */ id) => setOpen((before) => new Set(before.has(id) ? [...before].filter((one) => one !== id) : [...before, id]));
  const words = text.toLowerCase().split(/\s+/);
  const rows = order.map((id) => {
    const entry = nodesOf(graph)[id];
    const spec = app.catalog.value.specOf(tab.store.json.value, entry);
    return { app, tab, id, entry, spec, title: titleOf(graph, id, spec), open: open.has(id), first: false, readers: read.get(id)?.join() ?? "", toggle };
  }).filter((row) => words.every((word) => `${row.title} ${row.id} ${row.spec.id}`.toLowerCase().includes(word)));
  if (rows[0]) rows[0].first = true;
  const drawn = rows.map((row) => {
    const old = known.current.get(row.id);
    const same = old && /** @type {(keyof Row)[]} */ (["tab", "entry", "spec", "title", "open", "first", "readers"]).every((name) => old.row[name] === row[name]);
    const made = same ? old : { row, drawn: html`<${NodeRow} key=${row.id} ...${row} />` };
    known.current.set(row.id, made);
    return made.drawn;
  });
  return html`<div class="outline" data-context="canvas" onKeyDown=${(/** @type {any} */ event) => key(app, event)}>
    <input type="search" aria-label=${t("outline.filter")} placeholder=${t("outline.filter")} onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
    <ul role="tree" class="tree" aria-label=${t("outline.label", { title: tab.title.value })} onKeyDown=${treeKeys}>${drawn}</ul>
    ${rows.length === 0 && html`<p class="dim">${t(text ? "palette.nothing" : "canvas.empty")}</p>`}
    <button type="button" onClick=${() => app.commands.run("palette.open")}><${Icon} name="add" /> ${t("palette.title")}</button>
  </div>`;
}

/** @param {App} app @param {KeyboardEvent} event */
function key(app, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const row = /** @type {HTMLElement | null} */ (target.closest("[role=treeitem]"));
  if (!row) return;
  if (target !== row) {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    row.focus();
  } else {
    const end = row.dataset.socket === undefined ? null : endOf(row);
    if (event.key === "Enter" && !end) focusNode(app, row.dataset.node);
    else if (event.key === "Enter" && end) {
      const field = row.querySelector(/** @type {"input"} */ ("input, textarea, select, .now button"));
      field ? field.focus() : act(app, row);
    }
    else if (end && event.key.toLowerCase() === "c" && !event.ctrlKey && !event.metaKey) act(app, row);
    else if (end && (event.key === "Delete" || event.key === "Backspace")) linksAt(app, end).forEach((edge) => cut(app, edge));
    else return;
  }
  event.preventDefault();
}

/** @param {App} app @param {HTMLElement} row */
function act(app, row) {
  const box = row.getBoundingClientRect();
  connectSocket(app, endOf(row), [box.left + 20, box.bottom], true);
}

/** @param {Row} row */
function NodeRow(row) {
  const { app, tab, id, entry, spec, title, open, first, toggle } = row;
  const selected = tab.selection.value.has(id);
  const problems = problemsOf(app, tab, id);
  runOf(app, tab, id); // what is said of it tells its state
  const choose = () => (tab.selection.value = new Set([id]));
  return html`<li role="none"><div role="treeitem" aria-level="1" aria-expanded=${open} aria-selected=${selected} tabindex=${first ? 0 : -1} data-node=${id}
      aria-label=${labelOf(app, tab, id)} class=${entry.disabled ? "disabled" : ""} onFocus=${choose} onClick=${() => (choose(), toggle(id))}>
      <span class="name">${title} <small>${id}</small></span>
      ${entry.disabled && html`<small>${t("node.off")}</small>`}<${NodeState} app=${app} tab=${tab} id=${id} />
      <button type="button" class="plain" tabindex="-1" aria-label=${t("outline.menu", { title })}
        onClick=${(/** @type {MouseEvent} */ event) => (event.stopPropagation(), choose(), app.commands.run("menu.context", { event }))}><${Icon} name="more" /></button>
    </div>
    ${problems.map((problem) => html`<p class="problem">${problem.message}</p>`)}
    ${open && html`<ul role="group">${spec.inputs.map((input) => html`<${InputRow} key=${`in ${input.name}`} ...${row} input=${input} />`)}
      ${spec.outputs.map((output) => html`<${OutputRow} key=${`out ${output.name}`} ...${row} output=${output} />`)}</ul>`}
  </li>`;
}

/** @param {Row & {input: InputSpec}} props */
function InputRow({ app, tab, id, entry, input }) {
  const links = [entry.links?.[input.name] ?? []].flat();
  const value = entry.inputs?.[input.name];
  const shown = value === undefined ? input.default : value;
  const field = input.schema !== null && !input.many && !links.length;
  const now = links.length ? t("outline.from", { source: links.join(", ") }) : input.schema ? String(shown ?? "") : t(input.required ? "outline.missing" : "outline.empty");
  return html`<${SocketRow} app=${app} id=${id} name=${input.name} side="input" type=${input.type} title=${input.title} now=${now} bare=${field}>
    ${field ? html`<span class="now"><${Control} app=${app} tab=${tab} input=${input} value=${shown} set=${value !== undefined} where="inspector" place=${`${id}.${input.name}`} height=${26}
        change=${(/** @type {any} */ next, /** @type {{merge?: boolean}} */ { merge = false } = {}) =>
          editGraph(tab, t("field.set", { input: input.title }), (graph) => setValue(graph, id, input.name, next), { merge: merge ? `${id}.${input.name}` : "" })} /></span>` : html`<small class="now">${now}</small>`}
  <//>`;
}

/** @param {Row & {output: {name: string, type: import("../types.d.ts").TypeExpr}}} props */
function OutputRow({ app, tab, id, readers, output }) {
  const type = outputType(app.catalog.value, tab.store.json.value, tab.graph.value, `${id}.${output.name}`) ?? output.type;
  const to = readers.split(",").filter((one) => one.startsWith(`${output.name} `)).map((one) => one.slice(output.name.length + 1)).join(", ");
  const now = to ? t("outline.to", { targets: to }) : t("outline.unread");
  return html`<${SocketRow} app=${app} id=${id} name=${output.name} side="output" type=${type} title=${output.name} now=${now}><small class="now">${now}</small><//>`;
}

/** @param {any} props */
const SocketRow = ({ app, id, name, side, type, title, now, bare, children }) => html`<li role="none"><div role="treeitem" aria-level="2" tabindex="-1" data-of=${id} data-socket=${name}
  data-side=${side} aria-label=${`${t(`connect.${side}`, { title })}, ${typeText(type)}, ${now}`} class=${side}>
  <i class=${`type-dot ${app.catalog.value.shape(type)}`} style=${{ "--type": app.catalog.value.color(type) }} title=${typeText(type)}></i>${!bare && html`<span class="name">${title}</span>`}
  ${children}<button type="button" class="plain" tabindex="-1" aria-label=${t("outline.connect", { title })}
    onClick=${(/** @type {any} */ event) => act(app, event.currentTarget.closest("[role=treeitem]"))}><${Icon} name="link" /></button></div></li>`;
