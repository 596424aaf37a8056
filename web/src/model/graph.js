// Reading a document: its graphs, links and places. Nothing here changes one; edit.js does.

/** @import { Edge, Frame, Graph, Layout, NodeEntry, Note, Point, Scope, Workflow } from "../types.d.ts" */

/** @type {Graph} */
const NONE = Object.freeze({ nodes: {} });

/** What a record has under a name. Names are other people's: `constructor` and `toString` are in every object, and mean nothing.
 * @template T @param {Record<string, T> | undefined} record @param {string} name @returns {T | undefined} */
export const own = (record, name) => (record && Object.hasOwn(record, name) ? record[name] : undefined);

/** The graph of a scope; an empty one where there is none. @param {Workflow} json @param {Scope} scope @returns {Graph} */
export const graphAt = (json, scope) => (scope === "" ? json : own(json.subgraphs, scope) ?? NONE);

/** @param {Graph} graph */
export const nodesOf = (graph) => graph.nodes ?? {};
/** @param {Graph} graph @param {string} id */
export const nodeAt = (graph, id) => own(graph.nodes, id);

export const isRecord = (/** @type {any} */ one) => typeof one === "object" && one !== null && !Array.isArray(one);
const isPlace = (/** @type {any} */ one) => Number.isFinite(one) && Math.abs(one) < 1e7;
const isPoint = (/** @type {any} */ one) => Array.isArray(one) && one.length >= 2 && isPlace(one[0]) && isPlace(one[1]);
/** What each part of a layout may hold: a list, or a record by name. @type {Record<string, {list?: boolean, fits(one: any): boolean}>} */
const LAYOUT = {
  nodes: { fits: isPoint }, widths: { fits: (one) => isPlace(one) && one > 0 }, titles: { fits: (one) => typeof one === "string" },
  collapsed: { list: true, fits: (one) => typeof one === "string" }, frames: { list: true, fits: isRecord }, notes: { list: true, fits: isRecord },
  reroutes: { fits: (one) => Array.isArray(one) && one.every(isPoint) }, seeds: { fits: (one) => typeof one === "string" },
};
/** @type {WeakMap<object, Layout>} */
const layouts = new WeakMap();

/** The layout of a graph. Nobody checks it but this page, so what cannot be meant is left out of it. @param {Graph} graph @returns {Layout} */
export function layoutOf(graph) {
  const given = graph.layout;
  if (!given || !isRecord(given)) return {};
  let known = layouts.get(given);
  if (!known) {
    known = given;
    for (const [part, { list, fits }] of Object.entries(LAYOUT)) {
      const now = given[part];
      if (now === undefined || (list ? Array.isArray(now) : isRecord(now)) && Object.values(now).every(fits)) continue;
      const kept = list ? (Array.isArray(now) ? now.filter(fits) : []) : Object.fromEntries(Object.entries(isRecord(now) ? now : {}).filter(([, one]) => fits(one)));
      known = { ...known, [part]: kept };
    }
    layouts.set(given, known);
  }
  return known;
}

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
export const sourcesOf = (graph, id) => [...new Set(edgesInto(id, nodeAt(graph, id) ?? { type: "" }).map((edge) => edge.source))];

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
  const places = layoutOf(graph).nodes;
  const place = own(places, id);
  if (place) return place;
  const nodes = nodesOf(graph);
  let known = unplaced.get(nodes);
  if (!known || known.layout !== places) {
    const index = new Map(Object.keys(nodes).filter((one) => !own(places, one)).map((one, number) => [one, number]));
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
  const all = layoutOf(graph)[part];
  if (!all) return [];
  let known = decorations.get(all);
  if (!known) {
    const seen = new Set();
    known = all.map((/** @type {any} */ one, index) => {
      const boxed = ["x", "y", "width", "height"].every((side) => isPlace(one[side]));
      const named = typeof one.id === "string" && one.id !== "" && !seen.has(one.id);
      if (named) seen.add(one.id);
      if (boxed && named && typeof (one.title ?? "") === "string" && typeof (one.text ?? "") === "string") return one;
      const { at = [one.x, one.y], size = [one.width, one.height], ...rest } = one;
      const [x, y, width, height] = [at?.[0], at?.[1], size?.[0], size?.[1]].map((value, place) => (isPlace(value) ? value : [0, 0, 240, 120][place]));
      return { ...rest, id: named ? one.id : `${part}:${index}`, title: String(one.title ?? ""), text: String(one.text ?? ""), x, y, width, height };
    });
    decorations.set(all, known);
  }
  return known;
}

/** What a node is called: its title in the layout, or its type's. @param {Graph} graph @param {string} id @param {{title: string}} spec */
export const titleOf = (graph, id, spec) => own(layoutOf(graph).titles, id) || spec.title || id;

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
