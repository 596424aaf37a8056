// What is on the canvas, derived from the document: boxes, sockets, curves. Kept between changes, so that a change costs what it changes.

/** @import { Box, Catalog, Edge, Frame, Graph, NodeEntry, NodeSpec, Note, Point, Workflow } from "../types.d.ts" */
/** @import { Shape } from "../model/geometry.js" */
import { curve, endsOf, handle, isCollapsed, shapeOf, widthOf } from "../model/geometry.js";
import { decorationsOf, edgesInto, layoutOf, nodesOf, placeOf, titleOf } from "../model/graph.js";
import { outputType } from "../model/linked.js";
import { dotId, dotOf } from "../model/reroutes.js";

/** @typedef {{id: string, entry: NodeEntry, spec: NodeSpec, title: string, collapsed: boolean, shape: Shape, box: Box}} Item */
/** @typedef {{key: string, edge: Edge, points: Point[], d: string, color: string, box: Box}} Wire */
/** A frame or a note. @typedef {{id: string, part: "frames" | "notes", of: Frame & Note, box: Box}} Decoration */
/** @typedef {{nodes: Set<string>, wires: Set<string>, gone: string[], goneWires: string[]}} Changes */
/** @typedef {ReturnType<typeof createScene>} Scene */

export function createScene() {
  /** @type {Map<string, Item>} */
  let items = new Map();
  /** @type {Map<string, Wire>} */
  let wires = new Map();
  /** Keys of the wires at each node. @type {Map<string, Set<string>>} */
  const at = new Map();
  let reroutes = /** @type {Record<string, Point[]>} */ ({});
  /** @type {Map<string, Decoration>} */
  let decorations = new Map();

  /** Take over a document; tells what is different now. @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @returns {Changes} */
  function update(catalog, json, graph) {
    /** @type {Changes} */
    const changes = { nodes: new Set(), wires: new Set(), gone: [], goneWires: [] };
    /** @type {Map<string, Item>} */
    const next = new Map();
    for (const [id, entry] of Object.entries(nodesOf(graph))) {
      const spec = catalog.specOf(json, entry);
      const [x, y] = placeOf(graph, id);
      const collapsed = isCollapsed(graph, id);
      const shape = shapeOf(entry, spec, collapsed);
      const [width, title] = [widthOf(graph, id), titleOf(graph, id, spec)];
      const old = items.get(id);
      const same = old && old.entry === entry && old.spec === spec && old.shape === shape && old.title === title && old.box.x === x
        && old.box.y === y && old.box.width === width;
      if (same) next.set(id, old);
      else {
        next.set(id, { id, entry, spec, title, collapsed, shape, box: { x, y, width, height: shape.height } });
        changes.nodes.add(id);
      }
    }
    for (const id of items.keys()) if (!next.has(id)) changes.gone.push(id);
    items = next;
    updateWires(catalog, json, graph, changes);
    decorations = new Map(/** @type {const} */ (["frames", "notes"]).flatMap((part) => decorationsOf(graph, part).map((of) => {
      const { id, x, y, width, height } = of;
      return [id, { id, part, of, box: { x, y, width, height } }];
    })));
    return changes;
  }

  /** The box of a node, a frame, a note or a corner of a link. @param {string} id @returns {Box | undefined} */
  function boxOf(id) {
    const dot = dotOf(id);
    const point = dot && wires.get(dot[0])?.points.slice(1, -1)[dot[1]];
    return point ? { x: point[0], y: point[1], width: 0, height: 0 } : (items.get(id) ?? decorations.get(id))?.box;
  }

  /** The corners of all links, by id. */
  function* dots() {
    for (const { key, points } of wires.values()) for (let index = 1; index < points.length - 1; index++) yield { id: dotId(key, index - 1), key, point: points[index] };
  }

  /** @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {Changes} changes */
  function updateWires(catalog, json, graph, changes) {
    const places = layoutOf(graph).reroutes ?? {};
    /** @type {Map<string, Wire>} */
    const next = new Map();
    for (const item of items.values()) {
      for (const edge of edgesInto(item.id, item.entry)) {
        const source = items.get(edge.source);
        if (!source) continue;
        const old = wires.get(edge.key);
        const moved = changes.nodes.has(edge.source) || changes.nodes.has(edge.target) || places[edge.key] !== reroutes[edge.key];
        if (old && !moved && old.edge === edge) {
          next.set(edge.key, old);
          continue;
        }
        const type = outputType(catalog, json, graph, `${edge.source}.${edge.output}`);
        next.set(edge.key, made(edge, source, item, places[edge.key] ?? [], type ? catalog.color(type) : "#d9534f"));
        changes.wires.add(edge.key);
      }
    }
    for (const key of wires.keys()) if (!next.has(key)) changes.goneWires.push(key);
    [wires, reroutes] = [next, places];
    if (!changes.wires.size && !changes.goneWires.length) return;
    at.clear();
    for (const wire of wires.values()) for (const id of [wire.edge.source, wire.edge.target]) at.set(id, (at.get(id) ?? new Set()).add(wire.key));
  }

  /** @param {Edge} edge @param {Item} source @param {Item} target @param {Point[]} between @param {string} color @returns {Wire} */
  function made(edge, source, target, between, color) {
    const [from, to] = endsOf(source.box, source.shape, target.box, target.shape, edge);
    const points = [from, ...between, to];
    const pull = handle(from[0], to[0], from[1], to[1]);
    const xs = points.map(([x]) => x);
    const ys = points.map(([, y]) => y);
    const [left, top] = [Math.min(...xs) - pull, Math.min(...ys)];
    const box = { x: left, y: top, width: Math.max(...xs) + pull - left, height: Math.max(...ys) - top };
    return { key: edge.key, edge, points, d: curve(points), color, box };
  }

  /** Put things elsewhere for now (while they are dragged); tells the wires that came along. @param {ReadonlyMap<string, Point>} places @returns {Set<string>} */
  function shift(places) {
    const touched = /** @type {Set<string>} */ (new Set());
    for (const [id, [x, y]] of places) {
      const dot = dotOf(id);
      if (dot) {
        const wire = wires.get(dot[0]);
        if (wire) wires.set(dot[0], { ...wire, points: wire.points.map((point, index) => (index === dot[1] + 1 ? [x, y] : point)) });
        touched.add(dot[0]);
      }
      put(id, { x, y });
      for (const key of at.get(id) ?? []) touched.add(key);
    }
    bend(touched);
    return touched;
  }

  /** @param {string} id @param {Partial<Box>} change */
  function put(id, change) {
    const [item, decoration] = [items.get(id), decorations.get(id)];
    if (item) items.set(id, { ...item, box: { ...item.box, ...change } });
    if (decoration) decorations.set(id, { ...decoration, box: { ...decoration.box, ...change } });
  }

  /** @param {Iterable<string>} keys */
  function bend(keys) {
    for (const key of keys) {
      const wire = wires.get(key);
      const [source, target] = [items.get(wire?.edge.source ?? ""), items.get(wire?.edge.target ?? "")];
      if (wire && source && target) wires.set(key, made(wire.edge, source, target, wire.points.slice(1, -1), wire.color));
    }
  }

  return {
    get items() {
      return items;
    },
    get wires() {
      return wires;
    },
    /** The wires at a node. @param {string} id */
    wiresAt: (id) => at.get(id) ?? new Set(),
    get decorations() {
      return decorations;
    },
    dots,
    boxOf,
    /** Everything that has a place. @returns {Generator<[string, Box]>} */
    *boxes() {
      for (const { id, box } of items.values()) yield [id, box];
      for (const { id, box } of decorations.values()) yield [id, box];
      for (const { id, point: [x, y] } of dots()) yield [id, { x, y, width: 0, height: 0 }];
    },
    update,
    shift,
    /** Make something larger or smaller for now; tells the wires that came along. @param {string} id @param {Partial<Box>} change */
    resize(id, change) {
      put(id, change);
      bend(at.get(id) ?? []);
      return at.get(id) ?? new Set();
    },
  };
}
