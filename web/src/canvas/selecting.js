// Selecting by a box (what it touches) and by a lasso (what has its middle in it). Frames are selected when they lie in it whole.
import { contains, overlaps } from "../model/geometry.js";
import { edgePan } from "./edge-pan.js";

/** @import { Box, Point, Tab } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */
/** @import { Gesture } from "./gestures.js" */

const SVG = "http://www.w3.org/2000/svg";

/** Whether a point lies in a polygon. @param {Point[]} corners @param {number} x @param {number} y */
export function inPolygon(corners, x, y) {
  let inside = false;
  corners.forEach(([ax, ay], index) => {
    const [bx, by] = corners.at(index - 1) ?? [0, 0];
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) inside = !inside;
  });
  return inside;
}

/** @param {Canvas} canvas @param {PointerEvent} start @param {"box" | "lasso"} way @returns {Gesture} */
export function selecting(canvas, start, way) {
  const tab = /** @type {Tab} */ (canvas.tab);
  const all = tab.selection.peek();
  const before = way === "box" || start.shiftKey ? all : new Set();
  const corners = [canvas.pointAt(start)];
  const [[x0, y0]] = corners;
  const svg = document.createElementNS(SVG, "svg");
  const path = svg.appendChild(document.createElementNS(SVG, "path"));
  path.classList.add("selection-shape");
  canvas.over.append(svg);

  /** @param {number} x @param {number} y @returns {(id: string, box: Box) => boolean} */
  function takes(x, y) {
    const box = { x: Math.min(x, x0), y: Math.min(y, y0), width: Math.abs(x - x0), height: Math.abs(y - y0) };
    if (way === "lasso") return (_, one) => inPolygon(corners, one.x + one.width / 2, one.y + one.height / 2);
    return (id, one) => (canvas.scene.decorations.get(id)?.part === "frames" ? contains(box, one) : overlaps(one, box));
  }
  return {
    move(event) {
      const [x, y] = canvas.pointAt(event);
      if (way === "lasso") corners.push([x, y]);
      const shape = /** @type {Point[]} */ (way === "lasso" ? corners : [[x0, y0], [x, y0], [x, y], [x0, y]]);
      path.setAttribute("d", `M${shape.map((point) => canvas.onScreen(point).join(",")).join("L")}Z`);
      const taken = takes(x, y);
      const next = new Set([...before, ...[...canvas.scene.boxes()].filter(([id, box]) => taken(id, box)).map(([id]) => id)]);
      const now = tab.selection.peek();
      if (next.size !== now.size || [...next].some((id) => !now.has(id))) tab.selection.value = next;
      edgePan(canvas, event);
    },
    end: () => svg.remove(),
    cancel() {
      svg.remove();
      tab.selection.value = all;
    },
  };
}
