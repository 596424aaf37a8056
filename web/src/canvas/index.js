// The graph view: the canvas in the page, and the commands that move about in it.
import { useComputed } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { shownKeys } from "../keys.js";
import { remove } from "../model/edit.js";
import { decorationsOf } from "../model/graph.js";
import { t } from "../text/index.js";
import { installArranging } from "./arranging.js";
import { createCanvas } from "./canvas.js";
import { listenToFocus } from "./focus.js";
import { listenToPointer } from "./gestures.js";
import { listenToHover } from "./hover.js";
import { Minimap } from "./minimap.js";
import { listenToPointing } from "./pointing.js";

/** @import { App } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */

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
    { id: "view.fit_selection", title: "canvas.fit_selection", keys: ["Shift+F"], context: "canvas", group: "view", when: () => here() && selection().size > 0, run: () => canvas()?.fit(selection()) },
    { id: "view.minimap", title: "canvas.minimap", keys: ["Shift+M"], context: "canvas", group: "view", when: here, run: () => (app.settings.minimap.value = !app.settings.minimap.value) },
    { id: "view.actual", title: "canvas.actual", keys: ["1"], context: "canvas", group: "view", when: here, run: () => canvas()?.zoom(1 / (app.tabs.current.peek()?.camera.peek().zoom ?? 1)) },
    { id: "select.all", title: "canvas.select_all", keys: ["Ctrl+A"], context: "canvas", group: "edit", run: () => selectAll(app) },
    { id: "select.none", title: "canvas.select_none", keys: ["Escape"], context: "canvas", group: "edit", run: () => select(app, []) },
    { id: "edit.delete", title: "canvas.delete", keys: ["Delete", "Backspace"], context: "canvas", group: "edit", when: () => selection().size > 0, run: () => deleteSelection(app) },
  );
  installArranging(app);
}

/** @param {App} app @param {Iterable<string>} ids */
export function select(app, ids) {
  const tab = app.tabs.current.peek();
  if (tab) tab.selection.value = new Set(ids);
}

/** @param {App} app */
function selectAll(app) {
  const graph = app.tabs.current.peek()?.graph.peek();
  if (graph) select(app, [...Object.keys(graph.nodes ?? {}), ...[...decorationsOf(graph, "frames"), ...decorationsOf(graph, "notes")].map((one) => one.id)]);
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
  const [canvas, setCanvas] = useState(/** @type {Canvas | null} */ (null));
  useEffect(() => {
    const made = createCanvas(app, /** @type {HTMLElement} */ (host.current));
    listenToPointer(app, made);
    listenToHover(made);
    listenToPointing(app, made);
    listenToFocus(app, made);
    setCanvas((app.canvas = made));
    return () => {
      app.canvas = null;
      made.destroy();
    };
  }, []);
  const tab = app.tabs.current.value;
  const count = Object.keys(tab?.graph.value.nodes ?? {}).length;
  return html`<div class="graph-view">
    <div class="canvas" ref=${host} tabindex="0" role="application" data-context="canvas" aria-label=${t("canvas.label", { title: tab?.title.value ?? "", count })}></div>
    ${count === 0 && html`<p class="empty">${t("canvas.empty")}</p>`}
    <div class="corner">
      ${canvas && app.settings.minimap.value && count > 0 && html`<${Minimap} canvas=${canvas} />`}
      <${ZoomBar} app=${app} />
    </div>
  </div>`;
}

/** @param {{app: App}} props */
function ZoomBar({ app }) {
  const zoom = useComputed(() => Math.round(100 * (app.tabs.current.value?.camera.value.zoom ?? 1)));
  const button = (/** @type {string} */ id, /** @type {any} */ inner) => {
    const { title, keys } = /** @type {import("../types.d.ts").Command} */ (app.commands.find(id));
    return html`<button type="button" class="plain" aria-label=${t(title)} title=${`${t(title)} (${shownKeys(keys?.[0] ?? "")})`} onClick=${() => app.commands.run(id)}>${inner}</button>`;
  };
  return html`<div class="zoom-bar" role="group" aria-label=${t("canvas.zoom")}>
    ${button("view.zoom_out", html`<${Icon} name="minus" />`)}
    <button type="button" class="plain percent" title=${t("canvas.actual")} onClick=${() => app.commands.run("view.actual")}>${zoom.value} %</button>
    ${button("view.zoom_in", html`<${Icon} name="add" />`)}
    ${button("view.fit", html`<${Icon} name="fit" />`)}
  </div>`;
}
