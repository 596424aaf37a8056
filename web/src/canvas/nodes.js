// The nodes that are built: which are in the page, where they stand, and which stay although they are out of view.
import { h } from "preact";
import { render } from "../html.js";
import { NodeView } from "../node/node-view.js";

/** @import { App, Point, Tab } from "../types.d.ts" */
/** @import { Changes, Item, Scene } from "./scene.js" */

const BUILD_MS = 8; // a frame; what is not built by then is drawn and built in the next ones
const MOST_AT_ONCE = 8; // nodes that come into the page in a frame: laying them out costs more than building them
const MOST_KEPT = 200; // built nodes that are out of view

/** @param {App} app @param {HTMLElement} world @param {Scene} scene */
export function createNearNodes(app, world, scene) {
  const layer = document.createElement("div");
  layer.className = "nodes";
  world.append(layer);
  /** @type {Map<string, HTMLElement>} */
  const built = new Map();
  /** @type {Set<string>} */
  let shown = new Set();
  let tab = /** @type {Tab | null} */ (null);
  let selection = /** @type {ReadonlySet<string>} */ (new Set());
  let count = 0;

  /** @param {Item} item */
  function build(item) {
    const element = document.createElement("article");
    element.className = "node";
    element.dataset.node = item.id;
    element.tabIndex = -1;
    element.setAttribute("role", "group");
    built.set(item.id, element);
    count++;
    place(element, item);
    fill(element, item);
    return element;
  }

  /** @param {HTMLElement} element @param {Item} item */
  function place(element, { id, box }) {
    const { style } = element;
    const moved = `translate(${box.x}px, ${box.y}px)`;
    if (style.transform !== moved) style.transform = moved;
    if (style.width !== `${box.width}px`) style.width = `${box.width}px`;
    if (style.height !== `${box.height}px`) style.height = `${box.height}px`;
    element.classList.toggle("selected", selection.has(id));
  }

  /** @param {HTMLElement} element @param {Item} item */
  function fill(element, item) {
    if (!tab) return;
    element.setAttribute("aria-label", item.title);
    element.classList.toggle("collapsed", item.collapsed);
    element.classList.toggle("disabled", Boolean(item.entry.disabled));
    element.classList.toggle("missing", Boolean(item.spec.missing));
    render(h(NodeView, { app, tab, item }), element);
  }

  /** @param {string} id */
  function drop(id) {
    const element = built.get(id);
    if (!element) return;
    render(null, element);
    element.remove();
    built.delete(id);
    shown.delete(id);
  }

  /** Nodes that must not leave the page: one with the focus or a field in use, one in hand, one that plays something.
   * @param {string} id @param {{has(id: string): boolean}} held */
  function mustStay(id, held) {
    const element = built.get(id);
    if (!element || held.has(id) || element.contains(document.activeElement)) return Boolean(element);
    return [...element.querySelectorAll("video, audio")].some((one) => !(/** @type {HTMLMediaElement} */ (one).paused));
  }

  return {
    layer,
    /** How many nodes were ever built. */
    get count() {
      return count;
    },
    get shown() {
      return shown;
    },
    /** @param {string} id */
    element: (id) => built.get(id),
    /** @param {Tab | null} next */
    setTab(next) {
      tab = next;
    },
    /** @param {Changes} changes */
    update({ nodes, gone }) {
      gone.forEach(drop);
      for (const id of nodes) {
        const [element, item] = [built.get(id), scene.items.get(id)];
        if (!element || !item) continue;
        place(element, item);
        fill(element, item);
      }
    },
    /** Put nodes where the scene has them now. @param {Iterable<string>} ids */
    move(ids) {
      for (const id of ids) {
        const [element, item] = [built.get(id), scene.items.get(id)];
        if (element && item) place(element, item);
      }
    },
    /** Have just these nodes in the page; gives those that are not built yet. @param {string[]} ids @param {{has(id: string): boolean}} held Stay anyway.
     * @returns {Set<string>} */
    show(ids, held) {
      const wanted = new Set(ids);
      for (const id of shown) {
        if (wanted.has(id) || mustStay(id, held)) continue;
        built.get(id)?.remove();
        shown.delete(id);
      }
      const missing = /** @type {Set<string>} */ (new Set());
      const until = performance.now() + BUILD_MS;
      let came = 0;
      for (const id of ids) {
        if (shown.has(id)) continue;
        const item = scene.items.get(id);
        const element = came++ >= MOST_AT_ONCE || !item ? undefined : built.get(id) ?? (performance.now() < until ? build(item) : undefined);
        if (!element) missing.add(id);
        else {
          layer.append(element);
          shown.add(id);
        }
      }
      if (built.size > MOST_KEPT + shown.size) for (const id of [...built.keys()].filter((one) => !shown.has(one)).slice(0, built.size - MOST_KEPT - shown.size)) drop(id);
      return missing;
    },
    /** @param {ReadonlySet<string>} next */
    select(next) {
      for (const id of [...selection, ...next]) if (selection.has(id) !== next.has(id)) built.get(id)?.classList.toggle("selected", next.has(id));
      selection = next;
    },
    /** Build a node that is to have the focus, wherever it lies. @param {string} id */
    keep(id) {
      const item = scene.items.get(id);
      const element = built.get(id) ?? (item ? build(item) : undefined);
      if (element && !shown.has(id)) {
        layer.append(element);
        shown.add(id);
      }
      return element;
    },
    clear() {
      for (const id of [...built.keys()]) drop(id);
      shown = new Set();
    },
  };
}
