// Adding nodes: the palette over the canvas.
import { html } from "../html.js";
import { useState } from "preact/hooks";
import { fittingSockets } from "../model/connect.js";
import { addNode, freeId } from "../model/edit.js";
import { join } from "../canvas/wiring.js";
import { t } from "../text/index.js";

/** @import { App, End, NodeSpec, Point } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  app.commands.add({
    id: "palette.open", title: "palette.title", keys: ["/", "Tab"], context: "canvas", group: "insert", when: () => app.tabs.current.value !== null,
    run: (given) => open(app, given?.at ? given : {}),
  });
}

/** @param {App} app @param {{at?: Point, end?: End}} where */
async function open(app, { at, end }) {
  const spec = /** @type {NodeSpec | undefined} */ (await app.dialogs.open(t("palette.title"), PaletteBody, { end }));
  if (spec) insert(app, spec, { at, end });
}

/** Add a node of a type, and link it to `end` if there is one. @param {App} app @param {NodeSpec} spec @param {{at?: Point, end?: End}} where */
export function insert(app, spec, { at, end }) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const view = app.canvas?.view() ?? { x: 0, y: 0, width: 800, height: 600 };
  const place = at ?? /** @type {Point} */ ([view.x + view.width / 2 - 115, view.y + view.height / 2 - 60]);
  const id = freeId(tab.graph.peek(), spec.id.split("/")[1]);
  app.tabs.edit(t("palette.add", { title: spec.title }), (graph) => addNode(graph, id, { type: spec.id, version: spec.version }, place));
  tab.selection.value = new Set([id]);
  const socket = end && fittingSockets(app.catalog.peek(), tab.store.json.peek(), tab.scope.peek(), end, spec)[0];
  if (end && socket) join(app, tab, end, { node: id, socket, side: end.side === "output" ? "input" : "output" });
}

/** @param {{app: App, end?: End, close(spec?: NodeSpec): void}} props */
function PaletteBody({ app, end, close }) {
  const [text, setText] = useState("");
  const tab = app.tabs.current.value;
  const fits = (/** @type {NodeSpec} */ spec) => !end || !tab || fittingSockets(app.catalog.value, tab.store.json.value, tab.scope.value, end, spec).length > 0;
  const found = Object.values(app.catalog.value.nodes).filter((spec) => `${spec.title} ${spec.id} ${spec.category}`.toLowerCase().includes(text.toLowerCase()) && fits(spec));
  return html`<form class="palette" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), found[0] && close(found[0]))}>
    <input type="search" autofocus aria-label=${t("palette.search")} placeholder=${t("palette.search")} onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
    <ul>${found.slice(0, 50).map((spec) => html`<li key=${spec.id}><button type="button" onClick=${() => close(spec)}>${spec.title} <small>${spec.category}</small></button></li>`)}</ul>
    ${found.length === 0 && html`<p>${t("palette.nothing")}</p>`}
  </form>`;
}
