// Changes to a document, as functions from one to the next. What they do not touch stays the same object.

/** @import { Frame, Graph, InterfaceInput, Layout, NodeEntry, Note, Point, Scope, Workflow } from "../types.d.ts" */
import { decorationsOf, edgeKey, freeName, graphAt, layoutOf, nodeAt, nodesOf, own } from "./graph.js";
import { moveDots, removeDots } from "./reroutes.js";

/** A copy with one name set, or without it where `value` is undefined. @template {Record<string, any>} T
 * @param {T | undefined} record @param {string} name @param {any} value @returns {T} */
export function put(record, name, value) {
  const known = record !== undefined && Object.hasOwn(record, name);
  if (known ? value !== undefined && record[name] === value : value === undefined) return record ?? /** @type {T} */ ({});
  if (value !== undefined) return /** @type {any} */ ({ ...record, [name]: value });
  const { [name]: _, ...others } = /** @type {any} */ (record);
  return others;
}

/** Like `put`, and the record itself leaves where nothing remains in it.
 * @param {any} owner @param {string} part @param {string} name @param {any} value */
function putIn(owner, part, name, value) {
  const record = put(owner[part], name, value);
  return put(owner, part, Object.keys(record).length ? record : undefined);
}

/** Change the graph of a scope. @param {Workflow} json @param {Scope} scope @param {(graph: Graph) => Graph} recipe @returns {Workflow} */
export function inGraph(json, scope, recipe) {
  const graph = graphAt(json, scope);
  const after = recipe(graph);
  if (after === graph) return json;
  return scope === "" ? /** @type {Workflow} */ (after) : { ...json, subgraphs: { ...json.subgraphs, [scope]: after } };
}

/** @param {Graph} graph @param {string} id @param {(entry: NodeEntry) => NodeEntry} recipe @returns {Graph} */
export function inNode(graph, id, recipe) {
  const entry = nodeAt(graph, id);
  const after = entry && recipe(entry);
  return !after || after === entry ? graph : { ...graph, nodes: { ...graph.nodes, [id]: after } };
}

/** @param {Graph} graph @param {(layout: Layout) => Layout} recipe @returns {Graph} */
export const inLayout = (graph, recipe) => {
  const layout = layoutOf(graph);
  const after = recipe(layout);
  return after === layout ? graph : { ...graph, layout: after };
};

/** @param {Graph} graph @param {string} id @param {NodeEntry} entry @param {Point} place @returns {Graph} */
export const addNode = (graph, id, entry, place) =>
  inLayout({ ...graph, nodes: { ...graph.nodes, [id]: entry } }, (layout) => ({ ...layout, nodes: { ...layout.nodes, [id]: rounded(place) } }));

/** Another id for each of `wishes`. @param {Graph} graph @param {string} wish */
export const freeId = (graph, wish) => freeName(wish, (name) => name in nodesOf(graph));

/** @param {Point} place @returns {Point} */
const rounded = ([x, y]) => [Math.round(x), Math.round(y)];

/** Move nodes, frames, notes and corners of links to new places. @param {Graph} graph @param {ReadonlyMap<string, Point>} places By id. @returns {Graph} */
export function moveTo(graph, places) {
  if (!places.size) return graph;
  return inLayout(moveDots(graph, places), (layout) => {
    const nodes = { ...layout.nodes };
    for (const [id, place] of places) if (id in nodesOf(graph)) nodes[id] = rounded(place);
    const moved = (/** @type {any} */ one) => {
      const place = places.get(one.id);
      return place ? { ...one, x: Math.round(place[0]), y: Math.round(place[1]) } : one;
    };
    const after = { ...layout, nodes };
    for (const part of /** @type {const} */ (["frames", "notes"])) if (layout[part]) after[part] = decorationsOf(graph, part).map(moved);
    return after;
  });
}

/** Remove nodes, frames, notes and corners of links, with the links, public inputs and outputs that lead to them. @param {Graph} graph
 * @param {ReadonlySet<string>} ids @returns {Graph} */
export function remove(graph, ids) {
  const left = Object.entries(nodesOf(graph)).filter(([id]) => !ids.has(id));
  const nodes = Object.fromEntries(left.map(([id, entry]) => [id, withoutSources(entry, ids)]));
  const inside = (/** @type {string} */ reference) => !ids.has(reference.split(".", 1)[0]);
  const after = { ...removeDots(graph, ids), nodes };
  if (graph.interface) {
    const inputs = Object.entries(graph.interface.inputs ?? {}).map(([name, spec]) => /** @type {const} */ ([name, { ...spec, to: spec.to.filter(inside) }]));
    const outputs = Object.entries(graph.interface.outputs ?? {}).filter(([, from]) => inside(from));
    after.interface = {
      ...graph.interface,
      inputs: Object.fromEntries(inputs.filter(([, spec]) => spec.to.length)),
      outputs: Object.fromEntries(outputs),
    };
  }
  return inLayout(after, (layout) => {
    const kept = (/** @type {Record<string, any> | undefined} */ record, /** @type {(name: string) => boolean} */ stays) =>
      record && Object.fromEntries(Object.entries(record).filter(([name]) => stays(name)));
    /** @type {Layout} */
    const copy = { ...layout, nodes: kept(layout.nodes, (id) => !ids.has(id)) };
    for (const part of ["widths", "titles"]) if (layout[part]) copy[part] = kept(layout[part], (id) => !ids.has(id));
    if (layout.collapsed) copy.collapsed = layout.collapsed.filter((id) => !ids.has(id));
    if (layout.seeds) copy.seeds = kept(layout.seeds, inside);
    if (layout.reroutes) copy.reroutes = kept(layout.reroutes, (key) => key.split(">").every(inside));
    for (const part of /** @type {const} */ (["frames", "notes"])) if (layout[part]) copy[part] = decorationsOf(graph, part).filter((one) => !ids.has(one.id));
    return copy;
  });
}

/** @param {NodeEntry} entry @param {ReadonlySet<string>} sources */
function withoutSources(entry, sources) {
  if (!entry.links) return entry;
  const gone = (/** @type {string} */ reference) => sources.has(reference.split(".", 1)[0]);
  if (!Object.values(entry.links).flat().some(gone)) return entry;
  const left = Object.entries(entry.links).map(([input, from]) => [input, Array.isArray(from) ? from.filter((one) => !gone(one)) : gone(from) ? [] : from]);
  const links = left.filter(([, from]) => from.length);
  return put(entry, "links", links.length ? Object.fromEntries(links) : undefined);
}

/** Set a value that is typed in; undefined takes it out, so that the default counts. @param {Graph} graph @param {string} id
 * @param {string} input @param {any} value @returns {Graph} */
export const setValue = (graph, id, input, value) => inNode(graph, id, (entry) => /** @type {any} */ (putIn(entry, "inputs", input, value)));

/** Link an output to an input. An input that takes `many` gets one more. @param {Graph} graph @param {string} from `node.output`
 * @param {string} node @param {string} input @param {boolean} [many] @returns {Graph} */
export const connect = (graph, from, node, input, many = false) =>
  inNode(graph, node, (entry) => {
    const now = own(entry.links, input);
    const all = now === undefined ? [] : Array.isArray(now) ? now : [now];
    if (all.includes(from)) return entry;
    return /** @type {any} */ (putIn(entry, "links", input, many ? [...all, from] : from));
  });

/** Take a link out; without `from` all links into that input. @param {Graph} graph @param {string} node @param {string} input
 * @param {string} [from] @returns {Graph} */
export const disconnect = (graph, node, input, from) => {
  const after = inNode(graph, node, (entry) => {
    const now = own(entry.links, input);
    if (now === undefined) return entry;
    const left = Array.isArray(now) && from !== undefined ? now.filter((one) => one !== from) : [];
    return /** @type {any} */ (putIn(entry, "links", input, left.length ? left : undefined));
  });
  if (after === graph || !layoutOf(graph).reroutes || from === undefined) return after;
  return inLayout(after, (layout) => /** @type {any} */ (putIn(layout, "reroutes", edgeKey(from, `${node}.${input}`), undefined)));
};

/** @param {Graph} graph @param {Iterable<string>} ids @param {boolean} disabled @returns {Graph} */
export function setDisabled(graph, ids, disabled) {
  for (const id of ids) graph = inNode(graph, id, (entry) => put(entry, "disabled", disabled || undefined));
  return graph;
}

/** Give a node another title; an empty one goes back to its type's. @param {Graph} graph @param {string} id @param {string} title */
export const setTitle = (graph, id, title) => inLayout(graph, (layout) => /** @type {any} */ (putIn(layout, "titles", id, title || undefined)));

/** @param {Graph} graph @param {string} id @param {number} width */
export const setWidth = (graph, id, width) => inLayout(graph, (layout) => ({ ...layout, widths: { ...layout.widths, [id]: Math.round(width) } }));

/** @param {Graph} graph @param {Iterable<string>} ids @param {boolean} collapsed */
export const setCollapsed = (graph, ids, collapsed) =>
  inLayout(graph, (layout) => {
    const given = new Set(ids);
    const others = (layout.collapsed ?? []).filter((id) => !given.has(id));
    const all = collapsed ? [...others, ...given] : others;
    return put(layout, "collapsed", all.length ? all : undefined);
  });

/** Give a node another id; links, the interface and the layout follow. @param {Graph} graph @param {string} id @param {string} to @returns {Graph} */
export function renameNode(graph, id, to) {
  if (id === to || to in nodesOf(graph) || !(id in nodesOf(graph))) return graph;
  const led = (/** @type {string} */ reference) => (reference === id || reference.startsWith(`${id}.`) ? to + reference.slice(id.length) : reference);
  const named = (/** @type {Record<string, any> | undefined} */ record, /** @type {(name: string) => string} */ rename) =>
    record && Object.fromEntries(Object.entries(record).map(([name, value]) => [rename(name), value]));
  const nodes = /** @type {Record<string, NodeEntry>} */ (named(nodesOf(graph), (one) => (one === id ? to : one)));
  for (const [one, entry] of Object.entries(nodes)) {
    const reads = Object.values(entry.links ?? {}).flat().some((reference) => led(reference) !== reference);
    if (reads) nodes[one] = { ...entry, links: Object.fromEntries(Object.entries(entry.links ?? {}).map(([input, from]) => [input, Array.isArray(from) ? from.map(led) : led(from)])) };
  }
  const after = { ...graph, nodes };
  if (graph.interface) {
    const inputs = Object.entries(graph.interface.inputs ?? {}).map(([name, spec]) => [name, { ...spec, to: spec.to.map(led) }]);
    after.interface = { ...graph.interface, inputs: Object.fromEntries(inputs), outputs: /** @type {any} */ (mapped(graph.interface.outputs, led)) };
  }
  return inLayout(after, (layout) => {
    /** @type {Layout} */
    const copy = { ...layout, nodes: named(layout.nodes, led) };
    for (const part of ["widths", "titles", "seeds"]) if (layout[part]) copy[part] = named(layout[part], led);
    if (layout.reroutes) copy.reroutes = named(layout.reroutes, (key) => key.split(">").map(led).join(">"));
    if (layout.collapsed) copy.collapsed = layout.collapsed.map(led);
    return copy;
  });
}

/** @param {Record<string, string> | undefined} record @param {(value: string) => string} work */
const mapped = (record, work) => record && Object.fromEntries(Object.entries(record).map(([name, value]) => [name, work(value)]));

/** Set or (undefined) take out a public input. @param {Graph} graph @param {string} name @param {InterfaceInput | undefined} spec @returns {Graph} */
export const setPublicInput = (graph, name, spec) => put(graph, "interface", /** @type {any} */ (putIn(graph.interface ?? {}, "inputs", name, spec)));

/** Set or (undefined) take out a public output. @param {Graph} graph @param {string} name @param {string | undefined} from @returns {Graph} */
export const setPublicOutput = (graph, name, from) => put(graph, "interface", /** @type {any} */ (putIn(graph.interface ?? {}, "outputs", name, from)));

/** Put a frame or a note, or take it out. @param {Graph} graph @param {"frames" | "notes"} part @param {string} id
 * @param {Frame | Note | undefined} item @returns {Graph} */
export const setDecoration = (graph, part, id, item) =>
  inLayout(graph, (layout) => {
    const others = /** @type {any[]} */ (decorationsOf(graph, part));
    const place = others.findIndex((one) => one.id === id);
    const all = place < 0 ? (item ? [...others, item] : others) : others.flatMap((one) => (one.id !== id ? [one] : item ? [item] : []));
    return all === others ? layout : put(layout, part, all.length ? all : undefined);
  });
