// What a run of a document takes: the nodes that it needs, and other seeds for another picture.
import { edgesInto, nodesOf, split } from "../model/graph.js";
import { put } from "../model/edit.js";

/** @import { Catalog, NodeEntry, Workflow } from "../types.d.ts" */

/** The nodes that the outputs need. @param {Workflow} json @param {string[]} [outputs] @returns {Set<string>} */
export function needed(json, outputs = Object.values(json.interface?.outputs ?? {})) {
  const nodes = nodesOf(json);
  const open = outputs.map((output) => split(json.interface?.outputs?.[output] ?? output)[0]);
  const found = /** @type {Set<string>} */ (new Set());
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id) || !nodes[id] || nodes[id].disabled) continue;
    found.add(id);
    open.push(...edgesInto(id, nodes[id]).map((edge) => edge.source));
  }
  return found;
}

/** Other seeds, in a copy that only runs. Those to be kept stay, unless all are; seeds that are equal stay equal. @param {Catalog} catalog
 * @param {Workflow} json @returns {Workflow} */
export function withNewSeeds(catalog, json) {
  /** @type {Map<any, number>} */
  const drawn = new Map();
  const kept = json.layout?.seeds ?? {};
  const nodes = { ...json.nodes };
  const some = Object.values(kept).includes("new");
  for (const [id, entry] of Object.entries(nodes)) {
    for (const input of catalog.specOf(json, entry).inputs) {
      const isSeed = JSON.stringify(input.type).includes('"value":"seed');
      if (!isSeed || entry.links?.[input.name] !== undefined || (some && kept[`${id}.${input.name}`] !== "new")) continue;
      const now = entry.inputs?.[input.name] ?? input.default ?? 0;
      if (!drawn.has(now)) drawn.set(now, crypto.getRandomValues(new Uint32Array(1))[0]);
      nodes[id] = /** @type {NodeEntry} */ ({ ...nodes[id], inputs: put(nodes[id].inputs, input.name, drawn.get(now)) });
    }
  }
  return { ...json, nodes };
}

/** Whether two states of a document give the same results: they differ in their layout at most. @param {Workflow} a @param {Workflow} b */
export const sameMeaning = (a, b) => a === b || (sameGraph(a, b) && sameGraphs(a.subgraphs ?? {}, b.subgraphs ?? {}));

/** @param {import("../types.d.ts").Graph} a @param {import("../types.d.ts").Graph} b */
const sameGraph = (a, b) => a === b || (a.nodes === b.nodes && a.interface === b.interface && a.file === b.file);

/** @param {Record<string, import("../types.d.ts").Graph>} a @param {Record<string, import("../types.d.ts").Graph>} b */
const sameGraphs = (a, b) => a === b || (Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((name) => b[name] && sameGraph(a[name], b[name])));
