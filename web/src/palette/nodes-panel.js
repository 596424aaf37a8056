// The panel of all node types, by their categories: Enter adds one, or it is dragged onto the canvas. Below, what the chosen one is for.
import { useMemo, useState } from "preact/hooks";
import { html } from "../html.js";
import { ranked } from "../model/search.js";
import { treeKeys } from "../panels/tree.js";
import { t } from "../text/index.js";
import { NodeSummary } from "./help.js";
import { insert, typesFor } from "./insert.js";

/** @import { App, NodeSpec } from "../types.d.ts" */

/** Drag a type onto the canvas, with a mouse or a finger. @param {App} app @param {NodeSpec} spec @param {PointerEvent} start */
function drag(app, spec, start) {
  const row = /** @type {HTMLElement} */ (start.currentTarget);
  let ghost = /** @type {HTMLElement | null} */ (null);
  row.setPointerCapture(start.pointerId); // fast hands are out of the row with the first move
  /** @param {PointerEvent} event */
  function move(event) {
    const [dx, dy] = [event.clientX - start.clientX, event.clientY - start.clientY];
    if (!ghost && Math.hypot(dx, dy) < 6) return;
    if (!ghost) {
      ghost = Object.assign(document.createElement("div"), { className: "drag-ghost", textContent: spec.title });
      document.body.append(ghost);
    }
    ghost.style.transform = `translate(${event.clientX + 6}px, ${event.clientY + 6}px)`;
  }
  /** @param {PointerEvent} event */
  function end(event) {
    for (const name of /** @type {const} */ (["pointermove", "pointerup", "pointercancel"])) row.removeEventListener(name, name === "pointermove" ? move : end);
    ghost?.remove();
    if (!ghost || event.type !== "pointerup" || !app.canvas?.host.contains(document.elementFromPoint(event.clientX, event.clientY))) return;
    insert(app, spec, { at: app.canvas.pointAt(event) });
  }
  row.addEventListener("pointermove", move);
  row.addEventListener("pointerup", end);
  row.addEventListener("pointercancel", end);
}

/** @param {{app: App}} props */
export function NodesPanel({ app }) {
  const tab = app.tabs.current.value;
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(/** @type {NodeSpec | null} */ (null));
  const [shut, setShut] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  const specs = useMemo(() => (tab ? ranked(typesFor(app, tab), text) : []), [text, tab, tab?.store.json.value.subgraphs, app.catalog.value]);
  /** @type {Map<string, NodeSpec[]>} */
  const groups = new Map();
  for (const spec of specs) groups.set(spec.category, [...(groups.get(spec.category) ?? []), spec]);
  const names = text ? [...groups.keys()] : [...groups.keys()].sort();
  const toggle = (/** @type {string} */ name) => setShut((before) => new Set(before.has(name) ? [...before].filter((one) => one !== name) : [...before, name]));
  return html`<div class="nodes-panel">
    <input type="search" aria-label=${t("palette.search")} placeholder=${t("palette.search")} onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
    <ul role="tree" class="tree" aria-label=${t("panel.nodes")} onKeyDown=${treeKeys}>${names.map((name, index) => html`<li role="none" key=${name}>
      <div role="treeitem" aria-level="1" tabindex=${index ? -1 : 0} aria-expanded=${!shut.has(name)} onClick=${() => toggle(name)}><strong>${name}</strong></div>
      ${!shut.has(name) && html`<ul role="group">${groups.get(name)?.map((spec) => html`<li role="none" key=${spec.id}><div role="treeitem" aria-level="2" tabindex="-1"
        aria-selected=${chosen === spec} data-type=${spec.id} onFocus=${() => setChosen(spec)} onPointerDown=${(/** @type {PointerEvent} */ event) => drag(app, spec, event)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && (event.preventDefault(), insert(app, spec))}
        onDblClick=${() => insert(app, spec)}>${spec.title}</div></li>`)}</ul>`}
    </li>`)}</ul>
    ${names.length === 0 && html`<p class="dim" role="status">${t("palette.nothing")}</p>`}
    ${chosen && html`<section aria-label=${chosen.title}><header><h3>${chosen.title}</h3>
      <button type="button" onClick=${() => insert(app, chosen)}>${t("nodes.add")}</button></header><${NodeSummary} app=${app} spec=${chosen} /></section>`}
  </div>`;
}
