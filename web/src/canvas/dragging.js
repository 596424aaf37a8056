// Dragging and resizing what lies on the canvas: nodes, frames with what lies in them, notes, corners of links. The document changes once,
// at the end.
import { moveTo, setDecoration, setWidth } from "../model/edit.js";
import { linesOf, snapped, GRID } from "../model/align.js";
import { contains, holds, LEAST_WIDTH, overlaps } from "../model/geometry.js";
import { dotId } from "../model/reroutes.js";
import { editGraph } from "../tabs.js";
import { t } from "../text/index.js";
import { edgePan } from "./edge-pan.js";
import { splicing } from "./wiring.js";

/** @import { App, Box, Graph, Point, Tab } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */
/** @import { Gesture } from "./gestures.js" */
/** @import { Scene } from "./scene.js" */

/** What moves when these do: frames take along what lies in them, links their corners. @param {Scene} scene @param {Iterable<string>} ids */
export function withInside(scene, ids) {
  const all = new Set(ids);
  for (const id of [...all]) {
    const frame = scene.decorations.get(id);
    if (frame?.part !== "frames") continue;
    for (const [other, box] of scene.boxes()) {
      const inside = scene.decorations.get(other)?.part === "frames" ? contains(frame.box, box) : holds(frame.box, box.x + box.width / 2, box.y + box.height / 2);
      if (inside) all.add(other);
    }
  }
  for (const { key, edge, points } of scene.wires.values()) {
    if (points.length > 2 && all.has(edge.source) && all.has(edge.target)) for (let index = 0; index < points.length - 2; index++) all.add(dotId(key, index));
  }
  return all;
}

/** The lines that show what is aligned with what. @param {Canvas} canvas */
function createGuides(canvas) {
  const lines = ["x", "y"].map((axis) => Object.assign(document.createElement("div"), { className: `guide ${axis}`, hidden: true }));
  canvas.over.append(...lines);
  return {
    /** @param {number | null} x @param {number | null} y */
    show(x, y) {
      const [left, top] = canvas.onScreen([x ?? 0, y ?? 0]);
      [lines[0].hidden, lines[1].hidden] = [x === null, y === null];
      if (x !== null) lines[0].style.transform = `translateX(${left}px)`;
      if (y !== null) lines[1].style.transform = `translateY(${top}px)`;
    },
    remove: () => lines.forEach((line) => line.remove()),
  };
}

/** @param {App} app @param {Canvas} canvas @param {string} id @param {PointerEvent} start @returns {Gesture} */
export function dragging(app, canvas, id, start) {
  const tab = /** @type {Tab} */ (canvas.tab);
  const { scene } = canvas;
  const before = tab.selection.peek();
  const adds = start.shiftKey || start.ctrlKey || start.metaKey;
  if (!before.has(id)) tab.selection.value = adds ? new Set([...before, id]) : new Set([id]);
  canvas.element(id)?.focus({ preventScroll: true });
  const [x0, y0] = canvas.pointAt(start);
  /** @type {Map<string, Point>} */
  const from = new Map([...withInside(scene, tab.selection.peek())].flatMap((one) => {
    const box = scene.boxOf(one);
    return box ? [[one, /** @type {Point} */ ([box.x, box.y])]] : [];
  }));
  const own = /** @type {Box} */ (scene.boxOf(id));
  const guides = createGuides(canvas);
  const splice = splicing(app, canvas, id);
  /** @type {{view: Box, lines: ReturnType<typeof linesOf>} | null} */
  let near = null;
  let moved = false;
  let places = from;

  /** Where the one that was taken goes. @param {Point} to @param {boolean} free @returns {Point} */
  function meant(to, free) {
    const snaps = app.settings.snap.peek() && !free;
    const view = canvas.view();
    if (snaps && (near?.view.x !== view.x || near.view.y !== view.y)) {
      const boxes = [...scene.items.values(), ...scene.decorations.values()].filter((one) => !from.has(one.id) && overlaps(one.box, view)).map((one) => one.box);
      near = { view, lines: linesOf(boxes) };
    }
    const { at, x, y } = snaps && near ? snapped({ ...own, x: to[0], y: to[1] }, near.lines, 6 * view.width / canvas.size.width) : { at: to, x: null, y: null };
    guides.show(x, y);
    return at;
  }
  const done = () => {
    guides.remove();
    canvas.hold(new Set());
    canvas.invalidate("scene");
  };
  return {
    move(event) {
      moved ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > 3;
      if (!moved) return;
      canvas.hold(from);
      const [x, y] = canvas.pointAt(event);
      const [ox, oy] = meant([own.x + x - x0, own.y + y - y0], event.altKey);
      places = new Map([...from].map(([one, [fx, fy]]) => [one, [fx + ox - own.x, fy + oy - own.y]]));
      canvas.shift(places);
      splice.move(event);
      edgePan(canvas, event);
    },
    end() {
      done();
      if (moved) editGraph(tab, t("canvas.move"), (graph) => splice.end(moveTo(graph, places)));
      else if (!adds) tab.selection.value = new Set([id]);
      else if (before.has(id)) tab.selection.value = new Set([...before].filter((one) => one !== id));
    },
    cancel() {
      done();
      splice.cancel();
      canvas.shift(from);
    },
  };
}

/** The document with something as large as it is meant to be. @param {Graph} graph @param {Scene} scene @param {string} id @param {Partial<Box>} size */
export function resized(graph, scene, id, size) {
  const decoration = scene.decorations.get(id);
  if (decoration) return setDecoration(graph, decoration.part, id, { ...decoration.of, ...size });
  return size.width === undefined ? graph : setWidth(graph, id, size.width);
}

/** How small a thing may be. @param {Scene} scene @param {string} id @param {number} width @param {number} height @returns {Partial<Box>} */
export const sizeOf = (scene, id, width, height) => ({
  width: Math.max(scene.items.has(id) ? LEAST_WIDTH : 60, Math.round(width)), ...(scene.items.has(id) ? {} : { height: Math.max(40, Math.round(height)) }),
});

/** Drag the right edge of a node, the lower right corner of a frame or note. @param {App} app @param {Canvas} canvas @param {string} id
 * @param {PointerEvent} start @returns {Gesture} */
export function resizing(app, canvas, id, start) {
  const { scene } = canvas;
  const [tab, before] = [/** @type {Tab} */ (canvas.tab), /** @type {Box} */ (scene.boxOf(id))];
  const [x0, y0] = canvas.pointAt(start);
  let size = /** @type {Partial<Box> | null} */ (null);
  return {
    move(event) {
      const [x, y] = canvas.pointAt(event);
      const grid = app.settings.snap.peek() && !event.altKey ? GRID : 1;
      size = sizeOf(scene, id, Math.round((before.width + x - x0) / grid) * grid, Math.round((before.height + y - y0) / grid) * grid);
      canvas.resize(id, size);
      edgePan(canvas, event);
    },
    end: () => void (size && editGraph(tab, t("canvas.resize"), (graph) => resized(graph, scene, id, size ?? {}))),
    cancel: () => canvas.resize(id, before),
  };
}
