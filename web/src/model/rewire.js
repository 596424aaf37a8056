// Changes that lead links another way: a node into a link, out of one, or in the place of another.

/** @import { Catalog, Edge, Graph, NodeSpec, TypeExpr, Workflow } from "../types.d.ts" */
import { connect, inLayout, inNode, put, remove } from "./edit.js";
import { edgesInto, edgesOf, layoutOf, nodeAt, nodesOf, split } from "./graph.js";
import { outputType } from "./linked.js";
import { t } from "../text/index.js";
import { bodyOf, kindOf, relate, sameType } from "./types.js";

/** The same graph without the corners of these links. @param {Graph} graph @param {readonly string[]} keys */
const straight = (graph, keys) => (!keys.some((key) => key in (layoutOf(graph).reroutes ?? {})) ? graph
  : inLayout(graph, (layout) => put(layout, "reroutes", Object.fromEntries(Object.entries(layout.reroutes ?? {}).filter(([key]) => !keys.includes(key))))));

/** Have a link begin elsewhere; `from` undefined takes it out. @param {Graph} graph @param {Edge} edge @param {string | undefined} from @returns {Graph} */
export function redirect(graph, edge, from) {
  const old = `${edge.source}.${edge.output}`;
  return straight(inNode(graph, edge.target, (entry) => {
    const now = entry.links?.[edge.input];
    const next = Array.isArray(now) ? now.flatMap((one) => (one !== old ? [one] : from && !now.includes(from) ? [from] : [])) : from;
    return put(entry, "links", put(entry.links, edge.input, Array.isArray(next) && !next.length ? undefined : next));
  }), [edge.key]);
}

/** Put a node, that is there and not linked yet, into a link. @param {Graph} graph @param {Edge} edge @param {string} id
 * @param {{input: string, output: string}} way @param {NodeSpec} spec */
export const insertOn = (graph, edge, id, way, spec) =>
  redirect(connect(graph, `${edge.source}.${edge.output}`, id, way.input, spec.inputs.find((one) => one.name === way.input)?.many), edge, `${id}.${way.output}`);

/** Move a link of an input that takes several to another place among them. @param {Graph} graph @param {Edge} edge @param {number} by */
export const moveLink = (graph, edge, by) => inNode(graph, edge.target, (entry) => {
  const now = entry.links?.[edge.input];
  const to = edge.index + by;
  if (!Array.isArray(now) || to < 0 || to >= now.length) return entry;
  const links = now.filter((_, index) => index !== edge.index);
  links.splice(to, 0, now[edge.index]);
  return put(entry, "links", put(entry.links, edge.input, links));
});

/** What a node hands on while it is off: for each output the link of its first input of a fitting type. The server's rule.
 * @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {string} id @returns {Map<string, string>} */
export function passesOn(catalog, json, graph, id) {
  const entry = nodeAt(graph, id);
  const found = new Map();
  if (!entry) return found;
  const spec = catalog.specOf(json, entry);
  for (const output of spec.outputs) {
    const input = spec.inputs.find((one) => entry.links?.[one.name] && relate(kindOf(one.type) === "optional" ? bodyOf(one.type) : one.type, output.type)?.how === "direct");
    if (input) found.set(output.name, [entry.links?.[input.name]].flat()[0]);
  }
  return found;
}

/** The other nodes that are off when a node is: they cannot do without what it does not hand on. @param {Catalog} catalog @param {Workflow} json
 * @param {Graph} graph @param {string} id @returns {string[]} */
export function offWith(catalog, json, graph, id) {
  const passed = passesOn(catalog, json, graph, id);
  const edges = edgesOf(graph);
  const off = new Set([id]);
  for (const one of off) {
    for (const edge of edges) {
      if (edge.source !== one || one === id && passed.has(edge.output)) continue;
      const reader = nodesOf(graph)[edge.target];
      if (catalog.specOf(json, reader).inputs.find((input) => input.name === edge.input)?.required) off.add(edge.target);
    }
  }
  return [...off].slice(1);
}

/** What switching a node off comes to, or has come to, in words. @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {string} id */
export function offText(catalog, json, graph, id) {
  const off = offWith(catalog, json, graph, id);
  const text = [...passesOn(catalog, json, graph, id)].map(([output, from]) => t("node.passes", { output, from }));
  if (off.length) text.push(t("node.also_off", { ids: off.slice(0, 5).join(", ") }));
  return text.join("; ") || t("node.just_off");
}

/** Remove a node and join what it stood between, as far as the types fit. @param {Catalog} catalog @param {Workflow} json @param {Graph} graph
 * @param {string} id @returns {Graph} */
export function closeGap(catalog, json, graph, id) {
  const passed = passesOn(catalog, json, graph, id);
  let after = graph;
  for (const edge of edgesOf(graph)) if (edge.source === id && passed.has(edge.output)) after = redirect(after, edge, passed.get(edge.output));
  const outputs = Object.entries(after.interface?.outputs ?? {}).map(([name, from]) => [name, (split(from)[0] === id && passed.get(split(from)[1])) || from]);
  if (outputs.length) after = { ...after, interface: { ...after.interface, outputs: Object.fromEntries(outputs) } };
  return remove(after, new Set([id]));
}

/** Which socket stands for which: by its name, else by its type, else where it fits. @template {{name: string, type: TypeExpr}} T @param {T[]} ours
 * @param {T[]} theirs @param {(one: T, other: T) => unknown} fits */
function matched(ours, theirs, fits) {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const alike of [(/** @type {T} */ a, /** @type {T} */ b) => a.name === b.name, (/** @type {T} */ a, /** @type {T} */ b) => sameType(a.type, b.type), () => true]) {
    for (const one of ours) {
      const other = !found.has(one.name) && theirs.find((two) => alike(one, two) && ![...found.values()].includes(two.name) && fits(one, two));
      if (other) found.set(one.name, other.name);
    }
  }
  return found;
}

/** Give a node another type. Links and values stay where names or types fit; `lost` names the sockets where they do not.
 * @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {string} id @param {NodeSpec} spec
 * @returns {{graph: Graph, lost: string[], kept: number}} */
export function swapped(catalog, json, graph, id, spec) {
  const entry = nodesOf(graph)[id];
  const old = catalog.specOf(json, entry);
  const typeOf = (/** @type {string} */ reference) => outputType(catalog, json, graph, reference) ?? { var: reference };
  const readers = edgesOf(graph).filter((edge) => edge.source === id);
  const links = (/** @type {string} */ name) => [entry.links?.[name] ?? []].flat();
  const gives = old.outputs.filter(({ name }) => readers.some((edge) => edge.output === name) || Object.values(graph.interface?.outputs ?? {}).includes(`${id}.${name}`));
  const takes = old.inputs.filter(({ name }) => links(name).length || entry.inputs?.[name] !== undefined);
  const inputs = matched(takes, spec.inputs, (one, two) => (links(one.name).length
    ? (two.many || links(one.name).length === 1) && links(one.name).every((link) => relate(typeOf(link), two.type))
    : two.schema && one.name === two.name && relate(one.type, two.type)));
  const outputs = matched(gives, spec.outputs, (one, two) => readers.filter((edge) => edge.output === one.name).every((edge) => {
    const input = catalog.specOf(json, nodesOf(graph)[edge.target]).inputs.find((other) => other.name === edge.input);
    return input && relate(two.type, input.type);
  }));
  const carried = (/** @type {Record<string, any> | undefined} */ record, /** @type {(name: string, value: any) => any} */ shape = (_, value) => value) => {
    const rows = Object.entries(record ?? {}).flatMap(([name, value]) => (inputs.has(name) ? [[inputs.get(name), shape(inputs.get(name) ?? "", value)]] : []));
    return rows.length ? Object.fromEntries(rows) : undefined;
  };
  const many = (/** @type {string} */ name) => spec.inputs.some((one) => one.name === name && one.many);
  let next = put(put({ ...entry, type: spec.id }, "version", spec.subgraph ? undefined : spec.version), "inputs", carried(entry.inputs));
  next = put(next, "links", carried(entry.links, (name, from) => (many(name) ? [from].flat() : [from].flat()[0])));
  let after = /** @type {Graph} */ ({ ...graph, nodes: { ...graph.nodes, [id]: next } });
  const led = (/** @type {string} */ reference, /** @type {(name: string) => string | undefined} */ by) => {
    const [node, name] = split(reference);
    return node !== id ? [reference] : by(name) ? [`${id}.${by(name)}`] : [];
  };
  for (const edge of readers) if (outputs.get(edge.output) !== edge.output) after = redirect(after, edge, led(`${id}.${edge.output}`, (name) => outputs.get(name))[0]);
  const now = graph.interface;
  if (now) {
    const taken = (/** @type {string} */ name) => inputs.get(name) ?? (spec.inputs.some((one) => one.name === name) ? name : undefined);
    const rows = Object.entries(now.inputs ?? {}).map(([name, one]) => /** @type {const} */ ([name, { ...one, to: one.to.flatMap((to) => led(to, taken)) }]));
    const given = Object.entries(now.outputs ?? {}).flatMap(([name, from]) => led(from, (one) => outputs.get(one)).map((one) => [name, one]));
    after.interface = { ...now, inputs: Object.fromEntries(rows.filter(([, one]) => one.to.length)), outputs: Object.fromEntries(given) };
  }
  const lost = [...takes.filter(({ name }) => !inputs.has(name)).map((one) => one.title), ...gives.filter(({ name }) => !outputs.has(name)).map((one) => one.name)];
  return { graph: straight(after, edgesInto(id, entry).map((edge) => edge.key)), lost, kept: inputs.size + outputs.size };
}
