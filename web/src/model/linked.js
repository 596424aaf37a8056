// Types along links: what a node's variables stand for here, and so what type each of its outputs has.

/** @import { Catalog, Graph, TypeExpr, Workflow } from "../types.d.ts" */
import { nodeAt, own, split } from "./graph.js";
import { relate, substitute } from "./types.js";

/** @type {WeakMap<Graph, Map<string, Resolved>>} */
const resolvedIn = new WeakMap();
/** @typedef {{bindings: Map<string, TypeExpr>, depth: number}} Resolved */

/** What a node's variables stand for, and over how many levels of lists it is mapped. @param {Catalog} catalog @param {Workflow} json
 * @param {Graph} graph @param {string} id @param {Set<string>} [above] @returns {Resolved} */
export function resolved(catalog, json, graph, id, above = new Set()) {
  let known = resolvedIn.get(graph);
  if (!known) resolvedIn.set(graph, (known = new Map()));
  const found = known.get(id);
  if (found) return found;
  const entry = nodeAt(graph, id);
  let bindings = /** @type {Map<string, TypeExpr>} */ (new Map());
  let depth = 0;
  if (entry && !above.has(id)) {
    above.add(id);
    for (const input of catalog.specOf(json, entry).inputs) {
      const from = own(entry.links, input.name);
      for (const reference of from === undefined ? [] : Array.isArray(from) ? from : [from]) {
        const source = outputType(catalog, json, graph, reference, above);
        const relation = source && relate(source, input.type, bindings);
        if (!relation) continue;
        bindings = relation.bindings;
        depth = Math.max(depth, relation.depth);
      }
    }
    above.delete(id);
  }
  const made = { bindings, depth };
  if (!above.size) known.set(id, made);
  return made;
}

/** The type of an output as it is linked here; undefined where there is no such output. @param {Catalog} catalog @param {Workflow} json
 * @param {Graph} graph @param {string} reference `node.output` @param {Set<string>} [above] @returns {TypeExpr | undefined} */
export function outputType(catalog, json, graph, reference, above) {
  const [id, name] = split(reference);
  const entry = nodeAt(graph, id);
  if (!entry) return undefined;
  const output = catalog.specOf(json, entry).outputs.find((one) => one.name === name);
  if (!output) return undefined;
  const { bindings, depth } = resolved(catalog, json, graph, id, above);
  let type = substitute(output.type, bindings);
  for (let level = 0; level < depth; level++) type = { list: type };
  return type;
}
