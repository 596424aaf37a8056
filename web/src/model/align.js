// Bringing boxes into line: the commands that align and distribute, and what a box that is dragged snaps to.

/** @import { Box, Point } from "../types.d.ts" */
import { around } from "./geometry.js";

export const GRID = 10;

/** The axis, and where on it boxes meet; without: they are spread evenly. @type {Record<string, ["x" | "y", number?]>} */
export const WAYS = {
  left: ["x", 0], centre: ["x", 0.5], right: ["x", 1], top: ["y", 0], middle: ["y", 0.5], bottom: ["y", 1], across: ["x"], down: ["y"],
};
/** @param {"x" | "y"} axis */
const lengthOn = (axis) => (axis === "x" ? "width" : "height");

/** Where boxes go. @param {ReadonlyMap<string, Box>} boxes @param {string} way One of WAYS. @returns {Map<string, Point>} */
export function aligned(boxes, way) {
  const [axis, share] = WAYS[way];
  const length = lengthOn(axis);
  const all = /** @type {Box} */ (around(boxes.values()));
  const row = [...boxes].sort(([, a], [, b]) => a[axis] + a[length] / 2 - b[axis] - b[length] / 2);
  const gap = (all[length] - row.reduce((sum, [, box]) => sum + box[length], 0)) / Math.max(1, row.length - 1);
  let next = all[axis];
  return new Map(row.map(([id, box]) => {
    const start = share === undefined ? next : all[axis] + share * (all[length] - box[length]);
    next += box[length] + gap;
    return [id, axis === "x" ? [start, box.y] : [box.x, start]];
  }));
}

/** The edges and middles that a box may snap to. @param {Box[]} boxes @returns {Record<"x" | "y", number[]>} */
export const linesOf = (boxes) => ({
  x: boxes.flatMap(({ x, width }) => [x, x + width / 2, x + width]),
  y: boxes.flatMap(({ y, height }) => [y, y + height / 2, y + height]),
});

/** The place of a box once it has snapped to lines within reach, otherwise to the grid, and the lines that it met.
 * @param {Box} box @param {Record<"x" | "y", number[]>} lines @param {number} reach
 * @returns {{at: Point, x: number | null, y: number | null}} */
export function snapped(box, lines, reach) {
  const found = (/** @type {"x" | "y"} */ axis) => {
    let [best, line] = [reach, /** @type {number | null} */ (null)];
    for (const offset of [0, box[lengthOn(axis)] / 2, box[lengthOn(axis)]]) {
      for (const one of lines[axis]) {
        const way = one - box[axis] - offset;
        if (Math.abs(way) < Math.abs(best)) [best, line] = [way, one];
      }
    }
    return { line, at: line === null ? Math.round(box[axis] / GRID) * GRID : box[axis] + best };
  };
  const [x, y] = [found("x"), found("y")];
  return { at: [x.at, y.at], x: x.line, y: y.line };
}
