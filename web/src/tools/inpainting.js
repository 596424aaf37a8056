// What of a graph is repainted: the inputs that take a mask, the pictures, and which of them belong together.
import { edgesInto, nodesOf } from "../model/graph.js";

/** @import { App, Catalog, Graph, Workflow } from "../types.d.ts" */
/** An input that takes a file, and the file it has. @typedef {{node: string, input: string, file: string}} Target */

/** @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @returns {Target[]} */
export const masksOf = (catalog, json, graph) => Object.entries(nodesOf(graph)).flatMap(([node, entry]) => catalog.specOf(json, entry).inputs
  .filter((input) => input.schema?.format === "mask" && entry.links?.[input.name] === undefined)
  .map((input) => ({ node, input: input.name, file: entry.inputs?.[input.name] ?? "" })));

/** The pictures that are loaded. @param {Graph} graph @returns {Target[]} */
export const picturesOf = (graph) => Object.entries(nodesOf(graph)).filter(([, entry]) => entry.type === "image/load_image" && entry.links?.path === undefined)
  .map(([node, entry]) => ({ node, input: "path", file: entry.inputs?.path ?? "" }));

/** All that nodes read from, themselves included, the nearest first. @param {Graph} graph @param {string[]} ids */
function above(graph, ids) {
  const found = new Set(ids);
  for (const id of found) for (const edge of edgesInto(id, nodesOf(graph)[id] ?? { type: "" })) found.add(edge.source);
  return [...found];
}

/** The mask and the picture that it repaints: both lead into a node that reads a mask; null where there are none. @param {Catalog} catalog
 * @param {Workflow} json @param {Graph} graph @returns {{mask: Target, picture: Target} | null} */
export function inpaintingOf(catalog, json, graph) {
  const [masks, pictures] = [masksOf(catalog, json, graph), picturesOf(graph)];
  for (const mask of masks) {
    for (const [id, entry] of Object.entries(nodesOf(graph))) {
      const edges = edgesInto(id, entry);
      if (!edges.some((edge) => above(graph, [edge.source]).includes(mask.node))) continue;
      // the input that the mask does not come through: the picture below it, not what is laid over
      for (const edge of edges) {
        const sources = above(graph, [edge.source]);
        const picture = !sources.includes(mask.node) && pictures.filter((one) => one.file).sort((a, b) => sources.indexOf(a.node) - sources.indexOf(b.node)).find((one) => sources.includes(one.node));
        if (picture) return { mask, picture };
      }
    }
  }
  return null;
}
