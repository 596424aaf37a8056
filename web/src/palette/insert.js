// Adding nodes: which types there are to choose from, where a new one goes, and what it is linked to.
import { focusNode } from "../canvas/focus.js";
import { linked } from "../canvas/wiring.js";
import { CALLED } from "../model/catalog.js";
import { fittingSockets, wayThrough } from "../model/connect.js";
import { addNode, freeId } from "../model/edit.js";
import { overlaps } from "../model/geometry.js";
import { nodesOf } from "../model/graph.js";
import { insertOn } from "../model/rewire.js";
import { ranked } from "../model/search.js";
import { hasVariable } from "../model/types.js";
import { t } from "../text/index.js";
import { pick } from "./pick.js";

/** @import { App, Edge, End, NodeSpec, Point, Tab, Workflow } from "../types.d.ts" */
/** Where a new node goes (a point of the world), the end that it is linked to, or the link that it goes into. @typedef {{at?: Point, end?: End, edge?: Edge}} Where */

/** The subgraphs that run a graph, themselves or through others. @param {Workflow} json @param {string} scope @returns {Set<string>} */
function callersOf(json, scope) {
  const found = new Set([scope]);
  for (const name of found) {
    for (const [other, graph] of Object.entries(json.subgraphs ?? {})) {
      if (Object.values(nodesOf(graph)).some((entry) => entry.type === CALLED + name || entry.inputs?.body === name)) found.add(other);
    }
  }
  return found;
}

/** Every type that a node here may have: those of the packs, and the document's own subgraphs. @param {App} app @param {Tab} tab @returns {NodeSpec[]} */
export function typesFor(app, tab) {
  const [catalog, json] = [app.catalog.value, tab.store.json.value];
  const callers = callersOf(json, tab.scope.value);
  const own = Object.keys(json.subgraphs ?? {}).filter((name) => !callers.has(name)).map((name) => catalog.specOf(json, { type: CALLED + name }));
  return [...own, ...Object.values(catalog.nodes)];
}

/** The types that fit where a node is wanted, by what is typed: without a text those that fit best come first. @param {App} app @param {Tab} tab
 * @param {Where} where @returns {(text: string) => NodeSpec[]} */
export function typesFitting(app, tab, { end, edge }) {
  const given = /** @type {const} */ ([app.catalog.peek(), tab.store.json.peek(), tab.scope.peek()]);
  /** @param {NodeSpec} spec */
  const howFar = (spec) => {
    if (end) return fittingSockets(...given, end, spec)[0]?.far;
    const way = edge && wayThrough(...given, edge, spec);
    return !edge ? 0 : way ? Number(spec.inputs.some((input) => input.name === way.input && hasVariable(input.type))) : undefined;
  };
  const far = new Map(typesFor(app, tab).map((spec) => /** @type {const} */ ([spec, howFar(spec)])));
  const specs = [...far.keys()].filter((spec) => far.get(spec) !== undefined);
  return (text) => ranked(specs, text, app.settings.recent.peek(), (spec) => far.get(spec) ?? 0);
}

/** The palette: a list of types by what is typed, at a point of the canvas. @param {App} app @param {Where} where */
export function openPalette(app, where) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const fitting = typesFitting(app, tab, where);
  const title = t(where.edge ? "link.insert" : where.end ? "palette.fitting" : "palette.title");
  return pick(app, title, (text) => fitting(text).map((spec) => choiceOf(spec, (stays) => insert(app, spec, where, stays))),
    { at: screenOf(app, where.at), stays: !where.edge });
}

/** @param {NodeSpec} spec @param {(stays: boolean) => unknown} run @returns {import("./pick.js").Choice} */
export const choiceOf = (spec, run) => ({
  key: spec.id, title: spec.title, about: spec.deprecated ? t("palette.deprecated") : spec.category, text: spec.description || spec.id,
  types: [...spec.inputs.filter((input) => !input.schema), ...spec.outputs].map((one) => one.type), run,
});

/** A point of the world on the page. @param {App} app @param {Point} [at] @returns {Point | undefined} */
export function screenOf(app, at) {
  const corner = app.canvas?.host.getBoundingClientRect();
  if (!at || !app.canvas || !corner) return undefined;
  const [x, y] = app.canvas.onScreen(at);
  return [corner.left + x, corner.top + y];
}

/** A free place for a node: as wished, beside what it is linked to, or beside what is selected. @param {App} app @param {Tab} tab @param {Where} where
 * @returns {Point} */
function placeFor(app, tab, { at, end, edge }) {
  const items = app.canvas?.scene.items ?? new Map();
  const view = app.canvas?.view() ?? { x: 0, y: 0, width: 800, height: 600 };
  const beside = items.get(end?.node ?? edge?.source ?? [...tab.selection.peek()].at(-1) ?? "")?.box;
  let [x, y] = at ? (edge ? [at[0] - 115, at[1] - 16] : at) : beside ? [end?.side === "input" ? beside.x - 290 : beside.x + beside.width + 60, beside.y]
    : [view.x + view.width / 2 - 115, view.y + view.height / 3];
  const taken = () => [...items.values()].some((item) => overlaps(item.box, { x, y, width: 230, height: 120 }));
  for (let tries = 0; !at && tries < 60 && taken(); tries++) y += 40;
  return [x, y];
}

/** Add a node of a type, linked where it is to be: one change. @param {App} app @param {NodeSpec} spec @param {Where} [where] @param {boolean} [stays]
 * @returns {string} Its id. */
export function insert(app, spec, where = {}, stays = false) {
  const tab = app.tabs.current.peek();
  if (!tab) return "";
  const { end, edge } = where;
  const [catalog, json, scope] = [app.catalog.peek(), tab.store.json.peek(), tab.scope.peek()];
  const id = freeId(tab.graph.peek(), spec.id.split("/").at(-1) ?? "node");
  const place = placeFor(app, tab, where);
  const socket = end && fittingSockets(catalog, json, scope, end, spec)[0]?.name;
  const way = edge && wayThrough(catalog, json, scope, edge, spec);
  app.tabs.edit(t("palette.add", { title: spec.title }), (graph) => {
    const after = addNode(graph, id, spec.subgraph ? { type: spec.id } : { type: spec.id, version: spec.version }, place);
    if (edge && way) return insertOn(after, edge, id, way, spec);
    if (!end || !socket) return after;
    const other = /** @type {End} */ ({ node: id, socket, side: end.side === "output" ? "input" : "output" });
    return end.side === "output" ? linked(app, tab, after, end, other) : linked(app, tab, after, other, end);
  });
  app.settings.recent.value = [spec.id, ...app.settings.recent.peek().filter((one) => one !== spec.id)].slice(0, 8);
  app.announce(t("pick.added", { title: spec.title }));
  if (stays) tab.selection.value = new Set([id]);
  else focusNode(app, id);
  return id;
}
