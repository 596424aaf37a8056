// May these two ends be joined, and if not, why? The server checks again; this is for lighting up what fits.

/** @import { Catalog, End, Graph, InputSpec, Scope, TypeExpr, Verdict, Workflow } from "../types.d.ts" */
import { edgesInto, graphAt, nodesOf, wouldCircle } from "./graph.js";
import { outputType, resolved } from "./linked.js";
import { hasVariable, relate, typeText } from "./types.js";
import { t } from "../text/index.js";

/** From an output to an input, whichever of the two was taken first. @param {End} a @param {End} b @returns {[End, End] | null} */
export const fromTo = (a, b) => (a.side === b.side ? null : a.side === "output" ? [a, b] : [b, a]);

/** @param {Catalog} catalog @param {Workflow} json @param {Scope} scope @param {End} a @param {End} b @returns {Verdict} */
export function mayConnect(catalog, json, scope, a, b) {
  const ends = fromTo(a, b);
  if (!ends) return { ok: false, reason: t(a.side === "output" ? "connect.two_outputs" : "connect.two_inputs") };
  const [from, to] = ends;
  const graph = graphAt(json, scope);
  const entry = nodesOf(graph)[to.node];
  const input = entry && catalog.specOf(json, entry).inputs.find((one) => one.name === to.socket);
  const source = outputType(catalog, json, graph, `${from.node}.${from.socket}`);
  if (!input || !source) return { ok: false, reason: t("connect.gone") };
  if (from.node === to.node) return { ok: false, reason: t("connect.itself") };
  const relation = relate(source, input.type, boundWithout(catalog, json, graph, to));
  if (!relation) return { ok: false, reason: t("connect.types", { from: typeText(source), to: typeText(input.type), input: input.title }) };
  if (wouldCircle(graph, from.node, to.node)) return { ok: false, reason: t("connect.circle", { from: from.node, to: to.node }) };
  const now = edgesInto(to.node, entry).find((edge) => edge.input === to.socket);
  return { ok: true, how: relation.how, reason: "", replaces: now && !input.many ? `${now.source}.${now.output}` : undefined };
}

/** What the node's variables are bound to by its other links. @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {End} to */
function boundWithout(catalog, json, graph, to) {
  const entry = nodesOf(graph)[to.node];
  const spec = catalog.specOf(json, entry);
  if (!spec.inputs.some((input) => hasVariable(input.type))) return new Map();
  let bound = /** @type {ReadonlyMap<string, TypeExpr>} */ (new Map());
  for (const edge of edgesInto(to.node, entry)) {
    if (edge.input === to.socket) continue;
    const input = spec.inputs.find((one) => one.name === edge.input);
    const source = outputType(catalog, json, graph, `${edge.source}.${edge.output}`);
    bound = (input && source && relate(source, input.type, bound)?.bindings) ?? bound;
  }
  return bound;
}

/** The type at an end, as it is linked here. @param {Catalog} catalog @param {Workflow} json @param {Scope} scope @param {End} end
 * @returns {TypeExpr | undefined} */
export function typeAt(catalog, json, scope, end) {
  const graph = graphAt(json, scope);
  if (end.side === "output") return outputType(catalog, json, graph, `${end.node}.${end.socket}`);
  return inputAt(catalog, json, graph, end)?.type;
}

/** @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {End} end @returns {InputSpec | undefined} */
function inputAt(catalog, json, graph, end) {
  const entry = nodesOf(graph)[end.node];
  return entry && catalog.specOf(json, entry).inputs.find((one) => one.name === end.socket);
}

/** The sockets of a node type that an end could be joined with, those that need no wrapping or mapping first.
 * @param {Catalog} catalog @param {Workflow} json @param {Scope} scope @param {End} end @param {import("../types.d.ts").NodeSpec} spec
 * @returns {string[]} */
export function fittingSockets(catalog, json, scope, end, spec) {
  const type = typeAt(catalog, json, scope, end);
  if (!type) return [];
  const bound = end.side === "input" ? resolved(catalog, json, graphAt(json, scope), end.node).bindings : undefined;
  const found = end.side === "output"
    ? spec.inputs.map((input) => ({ name: input.name, how: relate(type, input.type)?.how }))
    : spec.outputs.map((output) => ({ name: output.name, how: relate(output.type, type, bound)?.how ?? (hasVariable(output.type) ? "map" : undefined) }));
  const rank = { direct: 0, wrap: 1, map: 2 };
  return found.filter((one) => one.how).sort((a, b) => rank[a.how ?? "map"] - rank[b.how ?? "map"]).map((one) => one.name);
}
