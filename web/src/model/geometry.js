// Where everything on the canvas lies. A pure function of the document: nothing is ever measured in the page.

/** @import { Box, Camera, Edge, Graph, NodeEntry, NodeSpec, Point } from "../types.d.ts" */
import { layoutOf, nodeAt, own, placeOf } from "./graph.js";

export const WIDTH = 230;
export const LEAST_WIDTH = 160;
export const HEADER = 32;
export const ROW = 24;
export const FIELD = 30;
export const TEXT = 76;
export const PICTURE = 168;
const FOOT = 6;

/** How high the control of an input is, by what its schema asks for. @param {Record<string, any> | null} schema */
export function fieldHeight(schema) {
  const one = schema?.anyOf?.find((/** @type {any} */ branch) => branch.type !== "null") ?? schema;
  if (one?.format === "multiline" || one?.format === "prompt") return TEXT;
  if (one?.format === "curve" || one?.type === "array") return TEXT;
  return FIELD;
}

/** @typedef {{kind: "sockets" | "field", y: number, height: number, input?: string, output?: string, index?: number}} Row */
/** @typedef {{rows: Row[], height: number, inputs: Map<string, number[]>, outputs: Map<string, number>}} Shape */

/** @type {WeakMap<NodeEntry, {spec: NodeSpec, shape: Shape, collapsed: Shape}>} */
const shapes = new WeakMap();

/** The rows of a node, and the heights of its sockets below its upper edge. @param {NodeEntry} entry @param {NodeSpec} spec
 * @param {boolean} collapsed @returns {Shape} */
export function shapeOf(entry, spec, collapsed) {
  let known = shapes.get(entry);
  if (!known || known.spec !== spec) shapes.set(entry, (known = { spec, shape: opened(entry, spec), collapsed: closed(spec) }));
  return collapsed ? known.collapsed : known.shape;
}

/** @param {NodeEntry} entry @param {NodeSpec} spec @returns {Shape} */
function opened(entry, spec) {
  /** @type {Row[]} */
  const rows = [];
  const inputs = new Map();
  const outputs = new Map();
  const left = spec.inputs.filter((input) => !input.schema || input.many).flatMap((input) => {
    const links = own(entry.links, input.name);
    const count = input.many ? (Array.isArray(links) ? links.length : links ? 1 : 0) + 1 : 1;
    return Array.from({ length: count }, (_, index) => ({ name: input.name, index }));
  });
  let y = HEADER + 4;
  for (let index = 0; index < Math.max(left.length, spec.outputs.length); index++) {
    const [input, output] = [left[index], spec.outputs[index]];
    rows.push({ kind: "sockets", y, height: ROW, input: input?.name, index: input?.index, output: output?.name });
    if (input) inputs.set(input.name, [...(inputs.get(input.name) ?? []), y + ROW / 2]);
    if (output) outputs.set(output.name, y + ROW / 2);
    y += ROW;
  }
  for (const input of spec.inputs) {
    if (!input.schema || input.many) continue;
    const linked = own(entry.links, input.name) !== undefined;
    const height = linked ? ROW : fieldHeight(input.schema);
    rows.push({ kind: "field", y, height, input: input.name });
    inputs.set(input.name, [y + Math.min(height, FIELD) / 2]);
    y += height;
  }
  return { rows, height: y + FOOT, inputs, outputs };
}

/** @param {NodeSpec} spec @returns {Shape} */
const closed = (spec) => ({
  rows: [], height: HEADER,
  inputs: new Map(spec.inputs.map((input) => [input.name, [HEADER / 2]])),
  outputs: new Map(spec.outputs.map((output) => [output.name, HEADER / 2])),
});

/** @param {Graph} graph @param {string} id */
export const isCollapsed = (graph, id) => layoutOf(graph).collapsed?.includes(id) ?? false;
/** @param {Graph} graph @param {string} id */
export const widthOf = (graph, id) => own(layoutOf(graph).widths, id) ?? WIDTH;

/** A node's box, without the picture that a run may hang below it. @param {Graph} graph @param {string} id @param {NodeSpec} spec @returns {Box} */
export function boxOf(graph, id, spec) {
  const entry = nodeAt(graph, id);
  const [x, y] = placeOf(graph, id);
  const height = entry ? shapeOf(entry, spec, isCollapsed(graph, id)).height : HEADER;
  return { x, y, width: widthOf(graph, id), height };
}

/** Where a link begins and ends, in the world. @param {Box} source @param {Shape} sourceShape @param {Box} target @param {Shape} targetShape
 * @param {Edge} edge @returns {[Point, Point]} */
export function endsOf(source, sourceShape, target, targetShape, edge) {
  const heights = targetShape.inputs.get(edge.input) ?? [HEADER / 2];
  return [
    [source.x + source.width, source.y + (sourceShape.outputs.get(edge.output) ?? HEADER / 2)],
    [target.x, target.y + (heights[edge.index] ?? heights[0])],
  ];
}

/** The curve through points, as the `d` of a path. @param {Point[]} points */
export function curve(points) {
  let d = `M${points[0][0]},${points[0][1]}`;
  for (let index = 1; index < points.length; index++) {
    const [[ax, ay], [bx, by]] = [points[index - 1], points[index]];
    const pull = handle(ax, bx, ay, by);
    d += `C${ax + pull},${ay} ${bx - pull},${by} ${bx},${by}`;
  }
  return d;
}

/** How far a curve goes straight out of its socket. @param {number} ax @param {number} bx @param {number} ay @param {number} by */
export const handle = (ax, bx, ay, by) => (bx >= ax ? Math.max(20, (bx - ax) / 2) : Math.min(160, 40 + (ax - bx) / 4 + Math.abs(by - ay) / 8));

/** How far a point is from the curve through points, and which of its parts is the nearest. @param {Point[]} points @param {number} x @param {number} y */
export function nearCurve(points, x, y) {
  let found = { away: Infinity, part: 0 };
  for (let part = 0; part < points.length - 1; part++) {
    const [[ax, ay], [bx, by]] = [points[part], points[part + 1]];
    const pull = handle(ax, bx, ay, by);
    for (let step = 0; step <= 24; step++) {
      const [s, r] = [step / 24, 1 - step / 24];
      const px = r * r * r * ax + 3 * r * r * s * (ax + pull) + 3 * r * s * s * (bx - pull) + s * s * s * bx;
      const away = Math.hypot(px - x, (r * r * (r + 3 * s)) * ay + (s * s * (s + 3 * r)) * by - y);
      if (away < found.away) found = { away, part };
    }
  }
  return found;
}

/** @param {Box} a @param {Box} b */
export const overlaps = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
/** @param {Box} box @param {number} x @param {number} y */
export const holds = (box, x, y) => x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height;

/** Whether a box lies within another one. @param {Box} outer @param {Box} box */
export const contains = (outer, box) => holds(outer, box.x, box.y) && holds(outer, box.x + box.width, box.y + box.height);

/** The box around boxes. @param {Iterable<Box>} boxes @returns {Box | null} */
export function around(boxes) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const box of boxes) {
    left = Math.min(left, box.x);
    top = Math.min(top, box.y);
    right = Math.max(right, box.x + box.width);
    bottom = Math.max(bottom, box.y + box.height);
  }
  return left === Infinity ? null : { x: left, y: top, width: right - left, height: bottom - top };
}

// ---- the camera: its x and y are the world's point in the upper left corner ----

/** @param {Camera} camera @param {number} x @param {number} y On the screen, from the canvas' corner. @returns {Point} */
export const toWorld = (camera, x, y) => [camera.x + x / camera.zoom, camera.y + y / camera.zoom];

export const LEAST_ZOOM = 0.05;
export const MOST_ZOOM = 3;

/** Zoom so that the world's point under the pointer stays there. @param {Camera} camera @param {number} factor @param {number} x @param {number} y
 * @returns {Camera} */
export function zoomed(camera, factor, x, y) {
  const zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, camera.zoom * factor));
  const [wx, wy] = toWorld(camera, x, y);
  return { x: wx - x / zoom, y: wy - y / zoom, zoom };
}

/** A camera that shows a box whole, never larger than life. @param {Box} box @param {number} width @param {number} height @returns {Camera} */
export function fitting(box, width, height) {
  const margin = 40;
  const zoom = Math.max(LEAST_ZOOM, Math.min(1, (width - 2 * margin) / box.width, (height - 2 * margin) / box.height));
  return { x: box.x + box.width / 2 - width / 2 / zoom, y: box.y + box.height / 2 - height / 2 / zoom, zoom };
}
