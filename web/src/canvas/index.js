// The graph view: the canvas in the page, and the commands that move about in it.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { remove } from "../model/edit.js";
import { t } from "../text/index.js";
import { createCanvas } from "./canvas.js";
import { listenToPointer } from "./gestures.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  app.views.add({ id: "graph", title: "view.graph", icon: "graph", order: 0, component: GraphView });
  const canvas = () => app.canvas;
  const here = () => app.view.value === "graph" && app.canvas !== null;
  const selection = () => app.tabs.current.peek()?.selection.peek() ?? new Set();
  app.commands.add(
    { id: "view.zoom_in", title: "canvas.zoom_in", keys: ["+", "Shift++", "="], context: "canvas", group: "view", when: here, run: () => canvas()?.zoom(1.25) },
    { id: "view.zoom_out", title: "canvas.zoom_out", keys: ["-"], context: "canvas", group: "view", when: here, run: () => canvas()?.zoom(0.8) },
    { id: "view.fit", title: "canvas.fit", keys: ["F"], context: "canvas", group: "view", when: here, run: () => canvas()?.fit() },
    { id: "view.actual", title: "canvas.actual", keys: ["1"], context: "canvas", group: "view", when: here, run: () => canvas()?.zoom(1 / (app.tabs.current.peek()?.camera.peek().zoom ?? 1)) },
    { id: "select.all", title: "canvas.select_all", keys: ["Ctrl+A"], context: "canvas", group: "edit", run: () => selectAll(app) },
    { id: "select.none", title: "canvas.select_none", keys: ["Escape"], context: "canvas", group: "edit", run: () => select(app, []) },
    { id: "edit.delete", title: "canvas.delete", keys: ["Delete", "Backspace"], context: "canvas", group: "edit", when: () => selection().size > 0, run: () => deleteSelection(app) },
  );
}

/** @param {App} app @param {Iterable<string>} ids */
export function select(app, ids) {
  const tab = app.tabs.current.peek();
  if (tab) tab.selection.value = new Set(ids);
}

/** @param {App} app */
function selectAll(app) {
  const graph = app.tabs.current.peek()?.graph.peek();
  select(app, [...Object.keys(graph?.nodes ?? {}), ...[...(graph?.layout?.frames ?? []), ...(graph?.layout?.notes ?? [])].map((one) => one.id)]);
}

/** @param {App} app */
function deleteSelection(app) {
  const tab = app.tabs.current.peek();
  const ids = tab?.selection.peek();
  if (!tab || !ids?.size) return;
  app.tabs.edit(t("canvas.delete"), (graph) => remove(graph, ids));
  tab.selection.value = new Set();
  app.canvas?.host.focus({ preventScroll: true });
  app.announce(t("canvas.deleted", { count: ids.size }));
}

/** @param {{app: App}} props */
function GraphView({ app }) {
  const host = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const canvas = createCanvas(app, /** @type {HTMLElement} */ (host.current));
    listenToPointer(app, canvas);
    app.canvas = canvas;
    return () => {
      app.canvas = null;
      canvas.destroy();
    };
  }, []);
  const tab = app.tabs.current.value;
  const count = Object.keys(tab?.graph.value.nodes ?? {}).length;
  return html`<div class="graph-view">
    <div class="canvas" ref=${host} tabindex="0" role="application" data-context="canvas" aria-label=${t("canvas.label", { title: tab?.title.value ?? "", count })}></div>
    ${count === 0 && html`<p class="empty">${t("canvas.empty")}</p>`}
  </div>`;
}
