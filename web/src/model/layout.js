// Arranging a graph in layers: a node lies right of everything it reads from, near what it is linked to, and no two overlap.
// Ranks by longest path (Sugiyama, Tagawa, Toda 1981); columns ordered by barycentre, placed by pooling adjacent violators.

/** @import { Box, Catalog, Graph, Point, Workflow } from "../types.d.ts" */
import { decorationsOf, edgesOf, nodesOf } from "./graph.js";
import { boxOf, holds } from "./geometry.js";

const GAP = { x: 70, y: 28 };
const SWEEPS = 8;
const PAD = { side: 24, top: 44 };

/** @typedef {{width: number, height: number}} Size */

/** The rank of each item: the longest way to it. A link that closes a circle does not count. @param {string[]} ids @param {Map<string, string[]>} sources */
function ranksOf(ids, sources) {
  /** @type {Map<string, number>} */
  const ranks = new Map();
  const open = new Set();
  for (const start of ids) {
    const stack = [start];
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      open.add(id);
      const next = ranks.has(id) ? undefined : sources.get(id)?.find((one) => !ranks.has(one) && !open.has(one));
      if (next !== undefined) {
        stack.push(next);
        continue;
      }
      stack.pop();
      open.delete(id);
      ranks.set(id, Math.max(-1, ...(sources.get(id) ?? []).map((one) => ranks.get(one) ?? -1)) + 1);
    }
  }
  return ranks;
}

/** Heights for boxes that stand below each other in this order, each as near as can be to where it would like its middle to be.
 * @param {{height: number, wish: number}[]} column @returns {number[]} */
function stacked(column) {
  /** @type {{sum: number, count: number, first: number}[]} */
  const blocks = [];
  let before = 0;
  const offsets = column.map(({ height }) => {
    const offset = before;
    before += height + GAP.y;
    return offset;
  });
  column.forEach(({ wish, height }, index) => {
    blocks.push({ sum: wish - height / 2 - offsets[index], count: 1, first: index });
    for (let last = blocks[blocks.length - 1]; blocks.length > 1; last = blocks[blocks.length - 1]) {
      const above = blocks[blocks.length - 2];
      if (above.sum / above.count <= last.sum / last.count) break;
      blocks.splice(-2, 2, { sum: above.sum + last.sum, count: above.count + last.count, first: above.first });
    }
  });
  return blocks.flatMap(({ sum, count, first }) => offsets.slice(first, first + count).map((offset) => sum / count + offset));
}

/** Places for items of these sizes; the upper left corner of all is [0, 0]. @param {Map<string, Size>} sizes @param {[string, string][]} links
 * @returns {Map<string, Point>} */
export function layered(sizes, links) {
  const ids = [...sizes.keys()];
  const [sources, targets] = [new Map(), new Map()].map((near) => /** @type {Map<string, string[]>} */ (near));
  for (const [from, to] of links) {
    if (from === to || !sizes.has(from) || !sizes.has(to)) continue;
    sources.set(to, [...(sources.get(to) ?? []), from]);
    targets.set(from, [...(targets.get(from) ?? []), to]);
  }
  const ranks = ranksOf(ids, sources);
  for (const id of ids) { // what reads from nothing stands beside what needs it first
    if (!sources.has(id) && targets.has(id)) ranks.set(id, Math.max(0, Math.min(...(targets.get(id) ?? []).map((one) => ranks.get(one) ?? 1)) - 1));
  }
  /** @type {string[][]} */
  const columns = [];
  for (const id of ids) (columns[ranks.get(id) ?? 0] ??= []).push(id);
  /** @type {Map<string, number>} */
  const middles = new Map();
  const size = (/** @type {string} */ id) => /** @type {Size} */ (sizes.get(id));
  /** @type {Map<string, number>} */
  const tops = new Map();
  /** @param {string[]} column @param {((id: string) => string[])} near */
  function settle(column, near) {
    const wished = column.map((id, index) => {
      const around = near(id).map((one) => middles.get(one)).filter((one) => one !== undefined);
      return { id, index, height: size(id).height, wish: around.length ? around.reduce((sum, one) => sum + one, 0) / around.length : middles.get(id) ?? 0 };
    }).sort((a, b) => a.wish - b.wish || a.index - b.index);
    const heights = stacked(wished);
    wished.forEach(({ id, height }, index) => {
      column[index] = id;
      tops.set(id, heights[index]);
      middles.set(id, heights[index] + height / 2);
    });
  }
  const before = (/** @type {string} */ id) => sources.get(id) ?? [];
  const behind = (/** @type {string} */ id) => targets.get(id) ?? [];
  const filled = columns.filter(Boolean);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    if (sweep % 2 === 0) for (const column of filled) settle(column, sweep + 2 > SWEEPS ? (id) => [...before(id), ...behind(id)] : before);
    else for (const column of filled.toReversed()) settle(column, behind);
  }
  const top = Math.min(...tops.values());
  /** @type {Map<string, Point>} */
  const places = new Map();
  let x = 0;
  for (const column of filled) {
    for (const id of column) places.set(id, [x, Math.round((tops.get(id) ?? 0) - top)]);
    x += Math.max(...column.map((id) => size(id).width)) + GAP.x;
  }
  return places;
}

/** A graph arranged: all of it, or only some of its nodes. What lies in a frame stays in it, and the frame fits around it.
 * @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {ReadonlySet<string>} [only] @returns {Graph} */
export function arranged(catalog, json, graph, only) {
  const chosen = (/** @type {string} */ id) => !only?.size || only.has(id);
  /** @type {Map<string, Box>} */
  const boxes = new Map();
  for (const [id, entry] of Object.entries(nodesOf(graph))) if (chosen(id)) boxes.set(id, boxOf(graph, id, catalog.specOf(json, entry)));
  const frames = decorationsOf(graph, "frames").filter((frame) => chosen(frame.id)).sort((a, b) => a.width * a.height - b.width * b.height);
  const inFrame = (/** @type {Box} */ box, /** @type {number} */ after) =>
    frames.find((frame, index) => index > after && frame !== box && holds(frame, box.x + box.width / 2, box.y + box.height / 2))?.id ?? "";
  for (const note of decorationsOf(graph, "notes")) if (chosen(note.id) && inFrame(note, -1)) boxes.set(note.id, note);
  /** @type {Map<string, string>} */
  const parents = new Map([...boxes].map(([id, box]) => [id, inFrame(box, -1)]));
  frames.forEach((frame, index) => parents.set(frame.id, inFrame(frame, index)));
  const edges = edgesOf(graph).map((edge) => /** @type {[string, string]} */ ([edge.source, edge.target]));
  /** @type {Map<string, Point>} */
  const places = new Map();
  /** @type {Map<string, Size>} */
  const sizes = new Map([...boxes].map(([id, { width, height }]) => [id, { width, height }]));
  const within = (/** @type {string} */ id, /** @type {string} */ frame) => {
    while (id && parents.get(id) !== frame) id = parents.get(id) ?? "";
    return id;
  };
  for (const frame of [...frames.map((one) => one.id), ""]) { // the smallest first: then what lies inside has its size
    const own = new Map([...parents].filter(([, parent]) => parent === frame).map(([id]) => [id, sizes.get(id) ?? { width: 0, height: 0 }]));
    const inner = layered(own, edges.map(([from, to]) => [within(from, frame), within(to, frame)]));
    let [right, bottom] = [120, 40];
    for (const [id, [x, y]] of inner) {
      places.set(id, [x, y]);
      right = Math.max(right, x + (own.get(id)?.width ?? 0));
      bottom = Math.max(bottom, y + (own.get(id)?.height ?? 0));
    }
    sizes.set(frame, { width: right + 2 * PAD.side, height: bottom + PAD.top + PAD.side });
  }
  const all = [...boxes.values(), ...frames];
  if (!all.length) return graph;
  const corner = [Math.min(...all.map((box) => box.x)), Math.min(...all.map((box) => box.y))];
  /** @param {string} id @returns {Point} */
  const final = (id) => {
    const [x, y] = places.get(id) ?? [0, 0];
    const parent = parents.get(id);
    const [ox, oy] = parent ? final(parent) : corner;
    return [Math.round(x + ox + (parent ? PAD.side : 0)), Math.round(y + oy + (parent ? PAD.top : 0))];
  };
  const moved = (/** @type {any} */ one) => (places.has(one.id) ? { ...one, x: final(one.id)[0], y: final(one.id)[1] } : one);
  const layout = { ...graph.layout, nodes: { ...graph.layout?.nodes } };
  for (const id of boxes.keys()) if (id in nodesOf(graph)) layout.nodes[id] = final(id);
  if (layout.notes) layout.notes = decorationsOf(graph, "notes").map(moved);
  if (layout.frames) layout.frames = decorationsOf(graph, "frames").map((frame) => (places.has(frame.id) ? { ...moved(frame), ...sizes.get(frame.id) } : frame));
  return { ...graph, layout };
}
