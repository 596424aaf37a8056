// The graph by keyboard alone: travelling from node to node, moving them, going into their fields. The focus is really on the node, so that
// a screen reader reads it.
import { moveTo } from "../model/edit.js";
import { edgesInto, edgesOf, inOrder, nodesOf, placeOf } from "../model/graph.js";
import { problemsOf } from "../node/node-problems.js";
import { runOf } from "../node/node-run.js";
import { t } from "../text/index.js";
import { withInside } from "./dragging.js";

/** @import { App, Command, Point, Tab } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */

const STEP = 16;
const WAYS = /** @type {Record<string, Point>} */ ({ left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] });
const CONTROLS = "input, textarea, select, button, a[href], [tabindex='0']";

/** @param {App} app @returns {Command[]} */
export function focusCommands(app) {
  const when = () => app.view.value === "graph" && app.canvas !== null && app.tabs.current.value !== null;
  const one = (/** @type {string} */ id, /** @type {string[]} */ keys, /** @type {(id: string) => unknown} */ run) =>
    ({ id: `focus.${id}`, title: `focus.${id}`, keys, context: /** @type {const} */ ("canvas"), group: "view", hidden: true, when, run: () => run(currentNode(app)) });
  return [
    ...Object.keys(WAYS).flatMap((way) => {
      const key = `Arrow${way[0].toUpperCase()}${way.slice(1)}`;
      return [one(way, [key], (id) => travel(app, id, way, false)), one(`extend_${way}`, [`Shift+${key}`], (id) => travel(app, id, way, true)),
        one(`move_${way}`, [`Alt+${key}`], () => shift(app, way))];
    }),
    one("source", ["[", "Ctrl+ArrowLeft"], (id) => follow(app, id, "source")),
    one("target", ["]", "Ctrl+ArrowRight"], (id) => follow(app, id, "target")),
    one("first", ["Home"], () => focusNode(app, inOrder(graphOf(app))[0])),
    one("last", ["End"], () => focusNode(app, inOrder(graphOf(app)).at(-1))),
    one("fields", ["Enter"], (id) => void app.canvas?.nodes.element(id)?.querySelector(/** @type {"input"} */ (CONTROLS))?.focus()),
    { id: "focus.region", title: "focus.region", keys: ["F6"], group: "view", run: () => cycle(1) },
    { id: "focus.region_back", title: "focus.region_back", keys: ["Shift+F6"], group: "view", hidden: true, run: () => cycle(-1) },
  ];
}

/** @param {App} app */
const graphOf = (app) => app.tabs.current.peek()?.graph.peek() ?? {};

/** The node that keys are about: the one with the focus, else the one selected last. @param {App} app @returns {string} */
export function currentNode(app) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement?.closest("[data-node], [data-of]"))?.dataset;
  const id = focused?.node ?? focused?.of ?? [...(app.tabs.current.peek()?.selection.peek() ?? [])].at(-1) ?? "";
  return id in nodesOf(graphOf(app)) ? id : "";
}

/** Bring a node into view, select it and give it the focus. @param {App} app @param {string | undefined} id @param {boolean} [adds] */
export function focusNode(app, id, adds = false) {
  const tab = app.tabs.current.peek();
  if (!tab || !id) return;
  tab.selection.value = new Set(adds ? [...tab.selection.peek(), id] : [id]);
  app.canvas?.reveal(id);
  const element = app.canvas?.nodes.keep(id);
  if (element) element.ariaLabel = labelOf(app, tab, id);
  element?.focus({ preventScroll: true });
}

/** What a screen reader says of a node. @param {App} app @param {Tab} tab @param {string} id */
export function labelOf(app, tab, id) {
  const entry = nodesOf(tab.graph.peek())[id];
  if (!entry) return id;
  const spec = app.catalog.peek().specOf(tab.store.json.peek(), entry);
  const run = runOf(app, tab, id);
  const linked = edgesInto(id, entry).length;
  const problems = problemsOf(app, tab, id).map((problem) => problem.message);
  return [tab.graph.peek().layout?.titles?.[id] || spec.title, id, run.state && t(`state.${run.state}`), entry.disabled && t("node.off"), t("focus.linked", { count: linked }),
    ...problems].filter(Boolean).join(", ");
}

/** To the nearest node in a direction: what lies aside counts double. @param {App} app @param {string} from @param {string} way @param {boolean} adds */
function travel(app, from, way, adds) {
  const items = app.canvas?.scene.items;
  const start = items?.get(from)?.box;
  if (!items || !start) return focusNode(app, inOrder(graphOf(app))[0]);
  const [dx, dy] = WAYS[way];
  let best = { id: "", away: Infinity };
  for (const { id, box } of items.values()) {
    const [x, y] = [box.x + box.width / 2 - start.x - start.width / 2, box.y + box.height / 2 - start.y - start.height / 2];
    const [ahead, aside] = [x * dx + y * dy, Math.abs(x * dy) + Math.abs(y * dx)];
    if (id !== from && ahead > 0 && ahead + 2 * aside < best.away) best = { id, away: ahead + 2 * aside };
  }
  if (best.id) focusNode(app, best.id, adds);
  else app.announce(t("focus.no_more"));
}

/** @param {App} app @param {string} way */
function shift(app, way) {
  const tab = app.tabs.current.peek();
  const scene = app.canvas?.scene;
  if (!tab || !scene) return;
  const places = new Map([...withInside(scene, tab.selection.peek())].flatMap((id) => {
    const box = scene.boxOf(id);
    return box ? [[id, /** @type {Point} */ ([box.x + WAYS[way][0] * STEP, box.y + WAYS[way][1] * STEP])]] : [];
  }));
  app.tabs.edit(t("canvas.move"), (graph) => moveTo(graph, places), { merge: `keys.move ${[...places.keys()].join(" ")}` });
  app.announce(t("focus.moved"));
}

/** Along a link: the first one, or (pressed again at the same node) each in turn. @param {App} app @param {string} id @param {"source" | "target"} end */
function follow(app, id, end) {
  const graph = graphOf(app);
  const edges = end === "source" ? edgesInto(id, nodesOf(graph)[id] ?? { type: "" }) : edgesOf(graph).filter((edge) => edge.source === id);
  const height = (/** @type {string} */ one) => placeOf(graph, one)[1];
  const ids = [...new Set(edges.map((edge) => edge[end]))].sort((a, b) => Math.abs(height(a) - height(id)) - Math.abs(height(b) - height(id)));
  if (ids.length) focusNode(app, ids[0]);
  else app.announce(t("focus.no_more"));
}

/** From one region of the page to the next. @param {number} by */
function cycle(by) {
  const regions = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(".bar, aside.side, .rail, #main")]).filter((one) => one.offsetParent !== null);
  const now = regions.findLastIndex((one) => one.contains(document.activeElement));
  for (let step = 1; step <= regions.length; step++) {
    const region = regions[(now + by * step + regions.length * 2) % regions.length];
    const inside = /** @type {HTMLElement[]} */ ([...region.querySelectorAll(`.canvas, [role=tree] [tabindex="0"], button:not(:disabled), summary, ${CONTROLS}`)]);
    const target = inside.find((one) => one.checkVisibility());
    if (!target) continue;
    target.focus();
    return;
  }
}

/** The keys that are the canvas' own: Tab goes round within a node, Escape goes back out of its fields. @param {App} app @param {Canvas} canvas */
export function listenToFocus(app, canvas) {
  canvas.host.addEventListener("keydown", (event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    const node = /** @type {HTMLElement | null} */ (target.closest("[data-node]"));
    if (!node || target === node || event.defaultPrevented) return;
    if (event.key === "Escape") {
      node.focus({ preventScroll: true });
      event.preventDefault();
    } else if (event.key === "Tab") {
      const all = /** @type {HTMLElement[]} */ ([...node.querySelectorAll(CONTROLS)]).filter((one) => one.tabIndex >= 0 && one.offsetParent !== null);
      const place = all.indexOf(target) + (event.shiftKey ? -1 : 1);
      all[(place + all.length) % all.length]?.focus();
      event.preventDefault();
    }
  });
  canvas.host.addEventListener("focusin", ({ target }) => {
    const id = target instanceof HTMLElement && target.dataset.node;
    if (!id || !canvas.tab) return;
    target.ariaLabel = labelOf(app, canvas.tab, id);
    if (!canvas.tab.selection.peek().has(id)) canvas.tab.selection.value = new Set([id]);
  });
}
