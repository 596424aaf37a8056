// The corners of links. A corner is selected, moved and deleted like a node: it has an id, "source.output>target.input#0".

/** @import { Graph, Point } from "../types.d.ts" */
import { layoutOf } from "./graph.js";

/** @param {string} key @param {number} index */
export const dotId = (key, index) => `${key}#${index}`;

/** The link of a corner, and which of its corners it is; null for the id of something else. @param {string} id @returns {[string, number] | null} */
export function dotOf(id) {
  const cut = id.lastIndexOf("#");
  return cut < 0 ? null : [id.slice(0, cut), Number(id.slice(cut + 1))];
}

/** @param {Graph} graph @param {Record<string, Point[]>} reroutes @returns {Graph} */
function kept(graph, reroutes) {
  const layout = { ...layoutOf(graph), reroutes: Object.fromEntries(Object.entries(reroutes).filter(([, points]) => points.length)) };
  if (!Object.keys(layout.reroutes).length) delete (/** @type {any} */ (layout).reroutes);
  return { ...graph, layout };
}

/** A link gets a corner after so many others. @param {Graph} graph @param {string} key @param {number} index @param {Point} place @returns {Graph} */
export function addDot(graph, key, index, [x, y]) {
  const points = [...(layoutOf(graph).reroutes?.[key] ?? [])];
  points.splice(index, 0, [Math.round(x), Math.round(y)]);
  return kept(graph, { ...layoutOf(graph).reroutes, [key]: points });
}

/** @param {Graph} graph @param {ReadonlyMap<string, Point>} places By id; what is no corner stays. @returns {Graph} */
export function moveDots(graph, places) {
  const reroutes = { ...layoutOf(graph).reroutes };
  let moved = false;
  for (const [id, [x, y]] of places) {
    const [key, index] = dotOf(id) ?? ["", 0];
    if (!reroutes[key]?.[index]) continue;
    reroutes[key] = reroutes[key].map((point, one) => (one === index ? [Math.round(x), Math.round(y)] : point));
    moved = true;
  }
  return moved ? kept(graph, reroutes) : graph;
}

/** @param {Graph} graph @param {ReadonlySet<string>} ids What is no corner stays. @returns {Graph} */
export function removeDots(graph, ids) {
  const reroutes = layoutOf(graph).reroutes;
  if (!reroutes || ![...ids].some((id) => dotOf(id))) return graph;
  return kept(graph, Object.fromEntries(Object.entries(reroutes).map(([key, points]) => [key, points.filter((_, index) => !ids.has(dotId(key, index)))])));
}
