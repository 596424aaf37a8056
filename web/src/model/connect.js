// May these two ends be joined, and if not, why? The server checks again; this is for lighting up what fits.

/** @import { Catalog, Edge, End, Graph, InputSpec, NodeSpec, Point, Scope, TypeExpr, Verdict, Workflow } from "../types.d.ts" */
import { edgesInto, graphAt, nodeAt, nodesOf, placeOf, wouldCircle } from "./graph.js";
import { outputType, resolved } from "./linked.js";
import { hasVariable, relate, sameType, substitute, typeText } from "./types.js";
import { t } from "../text/index.js";

/** From an output to an input, whichever of the two was taken first. @param {End} a @param {End} b @returns {[End, End] | null} */
export const fromTo = (a, b) => (a.side === b.side ? null : a.side === "output" ? [a, b] : [b, a]);

/** @param {Catalog} catalog @param {Workflow} json @param {Scope} scope @param {End} a @param {End} b @returns {Verdict} */
export function mayConnect(catalog, json, scope, a, b) {
  const ends = fromTo(a, b);
  if (!ends) return { ok: false, reason: t(a.side === "output" ? "connect.two_outputs" : "connect.two_inputs") };
  const [from, to] = ends;
  const graph = graphAt(json, scope);
  const entry = nodeAt(graph, to.node);
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
  const entry = nodeAt(graph, to.node) ?? { type: "" };
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
  const entry = nodeAt(graph, end.node);
  return entry && catalog.specOf(json, entry).inputs.find((one) => one.name === end.socket);
}

/** The sockets of a node type that an end could be joined with, and how far each is from it: 0 is the same type, then those that need no wrapping
 * or mapping, last those that take anything. @param {Catalog} catalog @param {Workflow} json @param {Scope} scope @param {End} end
 * @param {NodeSpec} spec @returns {{name: string, far: number}[]} */
export function fittingSockets(catalog, json, scope, end, spec) {
  const type = typeAt(catalog, json, scope, end);
  if (!type) return [];
  const bound = end.side === "input" ? resolved(catalog, json, graphAt(json, scope), end.node).bindings : undefined;
  const found = end.side === "output"
    ? spec.inputs.map((input) => ({ ...input, how: relate(type, input.type)?.how }))
    : spec.outputs.map((output) => ({ ...output, how: relate(output.type, type, bound)?.how ?? (hasVariable(output.type) ? "map" : undefined) }));
  const far = (/** @type {TypeExpr} */ other, /** @type {"direct" | "wrap" | "map"} */ how) => (typeText(other) === typeText(type) ? 0 : 1 + RANK[how] + (hasVariable(other) ? 3 : 0));
  return found.flatMap(({ name, type: other, how }) => (how ? [{ name, far: far(other, how) }] : [])).sort((a, b) => a.far - b.far);
}

const RANK = { direct: 0, wrap: 1, map: 2 };

/** The sockets of one node that an end could be joined with: those that are free first, then those that fit as they are.
 * @param {Catalog} catalog @param {Workflow} json @param {Scope} scope @param {End} end @param {string} node @returns {End[]} */
export function fittingOn(catalog, json, scope, end, node) {
  const entry = nodeAt(graphAt(json, scope), node);
  if (!entry) return [];
  const spec = catalog.specOf(json, entry);
  const side = end.side === "output" ? "input" : "output";
  const rows = (side === "input" ? spec.inputs : spec.outputs).map((one) => {
    const other = /** @type {End} */ ({ node, socket: one.name, side });
    return { other, verdict: mayConnect(catalog, json, scope, end, other) };
  }).filter((row) => row.verdict.ok);
  const rank = (/** @type {Verdict} */ { how, replaces }) => RANK[how ?? "map"] + (replaces ? 5 : 0);
  return rows.sort((a, b) => rank(a.verdict) - rank(b.verdict)).map((row) => row.other);
}

/** Every socket of a graph that an end could be joined with, those of the nearest nodes first. @param {Catalog} catalog @param {Workflow} json
 * @param {Scope} scope @param {End} end @returns {End[]} */
export function fittingEnds(catalog, json, scope, end) {
  const graph = graphAt(json, scope);
  const [x, y] = placeOf(graph, end.node);
  const far = (/** @type {Point} */ [px, py]) => Math.hypot(px - x, py - y);
  const ids = Object.keys(nodesOf(graph)).filter((id) => id !== end.node).map((id) => ({ id, away: far(placeOf(graph, id)) }));
  return ids.sort((a, b) => a.away - b.away).flatMap(({ id }) => fittingOn(catalog, json, scope, end, id));
}

/** By which of its sockets a node of a type could stand in a link; null: not at all. @param {Catalog} catalog @param {Workflow} json
 * @param {Scope} scope @param {Edge} edge @param {NodeSpec} spec @returns {{input: string, output: string} | null} */
export function wayThrough(catalog, json, scope, edge, spec) {
  const to = /** @type {End} */ ({ node: edge.target, socket: edge.input, side: "input" });
  const source = typeAt(catalog, json, scope, { node: edge.source, socket: edge.output, side: "output" });
  const target = typeAt(catalog, json, scope, to);
  if (!source || !target) return null;
  const bound = boundWithout(catalog, json, graphAt(json, scope), to);
  const inputs = spec.inputs.map((input) => ({ input, relation: relate(source, input.type) })).filter((row) => row.relation?.how === "direct");
  inputs.sort((a, b) => Number(sameType(b.input.type, source)) - Number(sameType(a.input.type, source)));
  for (const { input, relation } of inputs) {
    const output = spec.outputs.find((one) => relate(substitute(one.type, relation?.bindings ?? new Map()), target, bound)?.how === "direct");
    if (output) return { input: input.name, output: output.name };
  }
  return null;
}
