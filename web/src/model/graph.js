// Reading a document: its graphs, links and places. Nothing here changes one; edit.js does.

/** @import { Edge, Frame, Graph, NodeEntry, Note, Point, Scope, Workflow } from "../types.d.ts" */

/** @type {Graph} */
const NONE = Object.freeze({ nodes: {} });

/** The graph of a scope; an empty one where there is none. @param {Workflow} json @param {Scope} scope @returns {Graph} */
export const graphAt = (json, scope) => (scope === "" ? json : json.subgraphs?.[scope] ?? NONE);

/** @param {Graph} graph */
export const nodesOf = (graph) => graph.nodes ?? {};

/** @type {WeakMap<NodeEntry, Map<string, Edge[]>>} */
const edgesByEntry = new WeakMap();

/** The links that lead into a node, in the order of its inputs. @param {string} id @param {NodeEntry} entry @returns {Edge[]} */
export function edgesInto(id, entry) {
  if (!entry.links) return [];
  let known = edgesByEntry.get(entry);
  if (!known) edgesByEntry.set(entry, (known = new Map()));
  let edges = known.get(id);
  if (!edges) {
    edges = [];
    for (const [input, from] of Object.entries(entry.links)) {
      const references = Array.isArray(from) ? from : [from];
      references.forEach((reference, index) => {
        const [source, output] = split(reference);
        edges?.push({ key: edgeKey(reference, `${id}.${input}`), source, output, target: id, input, index });
      });
    }
    known.set(id, edges);
  }
  return edges;
}

/** @param {string} reference `node.socket` @returns {[string, string]} */
export function split(reference) {
  const dot = reference.indexOf(".");
  return dot < 0 ? [reference, ""] : [reference.slice(0, dot), reference.slice(dot + 1)];
}

/** The name of a link in the layout. @param {string} from `node.output` @param {string} to `node.input` */
export const edgeKey = (from, to) => `${from}>${to}`;

/** Every link of a graph. @param {Graph} graph */
export const edgesOf = (graph) => Object.entries(nodesOf(graph)).flatMap(([id, entry]) => edgesInto(id, entry));

/** Ids of the nodes that a node reads from, each once. @param {Graph} graph @param {string} id */
export const sourcesOf = (graph, id) => [...new Set(edgesInto(id, nodesOf(graph)[id] ?? { type: "" }).map((edge) => edge.source))];

/** Whether `from` can be reached from `to` by going along links: then a link from -> to would close a circle.
 * @param {Graph} graph @param {string} from @param {string} to */
export function wouldCircle(graph, from, to) {
  const seen = new Set();
  const open = [from];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id === to) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    open.push(...sourcesOf(graph, id));
  }
  return false;
}

/** Nodes without a place, in their order. @type {WeakMap<object, {layout: unknown, index: Map<string, number>}>} */
const unplaced = new WeakMap();

/** Where a node lies; a node without a place gets one in a row below. @param {Graph} graph @param {string} id @returns {Point} */
export function placeOf(graph, id) {
  const places = graph.layout?.nodes;
  const place = places?.[id];
  if (Array.isArray(place) && place.length >= 2) return place;
  const nodes = nodesOf(graph);
  let known = unplaced.get(nodes);
  if (!known || known.layout !== places) {
    const index = new Map(Object.keys(nodes).filter((one) => !places?.[one]).map((one, number) => [one, number]));
    unplaced.set(nodes, (known = { layout: places, index }));
  }
  const index = known.index.get(id) ?? 0;
  return [290 * (index % 6), 260 * Math.floor(index / 6)];
}

/** @type {WeakMap<object[], (Frame & Note)[]>} */
const decorations = new WeakMap();

/** The frames or notes of a graph. Those of other programs have `at` and `size`, and no id: they get one here.
 * @param {Graph} graph @param {"frames" | "notes"} part @returns {(Frame & Note)[]} */
export function decorationsOf(graph, part) {
  const all = graph.layout?.[part];
  if (!Array.isArray(all)) return [];
  let known = decorations.get(all);
  if (!known) {
    const seen = new Set();
    known = all.map((/** @type {any} */ one, index) => {
      if (one?.id && Number.isFinite(one.width) && !seen.has(one.id)) return seen.add(one.id), one;
      const { at = [one?.x, one?.y], size = [one?.width, one?.height], ...rest } = one ?? {};
      const [x, y, width, height] = [...at, ...size].map((value, place) => (Number.isFinite(value) ? value : [0, 0, 240, 120][place]));
      return { ...rest, id: `${part}:${index}`, x, y, width, height };
    });
    decorations.set(all, known);
  }
  return known;
}

/** What a node is called: its title in the layout, or its type's. @param {Graph} graph @param {string} id @param {{title: string}} spec */
export const titleOf = (graph, id, spec) => graph.layout?.titles?.[id] || spec.title || id;

/** A name that is free: `wish`, `wish_2` ... @param {string} wish @param {(name: string) => boolean} taken */
export function freeName(wish, taken) {
  const clean = wish.replace(/[^A-Za-z0-9_-]+/g, "_").replace(/^[^A-Za-z_]+/, "") || "node";
  if (!taken(clean)) return clean;
  const stem = clean.replace(/_\d+$/, "");
  for (let number = 2; ; number++) if (!taken(`${stem}_${number}`)) return `${stem}_${number}`;
}

/** The nodes in the order of their links: sources first, otherwise as the document has them. Circles end up last.
 * @param {Graph} graph @returns {string[]} */
export function inOrder(graph) {
  const nodes = nodesOf(graph);
  const missing = new Map(Object.keys(nodes).map((id) => [id, sourcesOf(graph, id).filter((one) => one in nodes).length]));
  /** @type {Map<string, string[]>} */
  const readers = new Map();
  for (const id of Object.keys(nodes)) for (const from of sourcesOf(graph, id)) readers.set(from, [...(readers.get(from) ?? []), id]);
  const ready = [...missing].filter(([, count]) => count === 0).map(([id]) => id);
  const order = new Set(/** @type {string[]} */ ([]));
  for (let index = 0; index < ready.length; index++) {
    const id = ready[index];
    order.add(id);
    for (const reader of readers.get(id) ?? []) {
      const left = /** @type {number} */ (missing.get(reader)) - 1;
      missing.set(reader, left);
      if (left === 0) ready.push(reader);
    }
  }
  return [...order, ...Object.keys(nodes).filter((id) => !order.has(id))];
}
