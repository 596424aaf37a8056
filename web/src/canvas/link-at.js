// The link at a point of the world: nothing in the page is asked, so it works in the far view as well.
import { nearCurve } from "../model/geometry.js";

/** @import { Edge, Point } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */

/** The link within some pixels of a point, and which of its parts that is. @param {Canvas} canvas @param {Point} point In the world.
 * @param {{pixels?: number, without?: string}} [options] `without`: a node whose own links do not count. @returns {{edge: Edge, part: number} | null} */
export function linkAt(canvas, [x, y], { pixels = 6, without = "" } = {}) {
  let least = pixels / (canvas.tab?.camera.peek().zoom ?? 1);
  let found = null;
  for (const { box, edge, points } of canvas.scene.wires.values()) {
    if (x < box.x - least || x > box.x + box.width + least || y < box.y - least || y > box.y + box.height + least) continue;
    if (edge.source === without || edge.target === without) continue;
    const { away, part } = nearCurve(points, x, y);
    if (away <= least) [least, found] = [away, { edge, part }];
  }
  return found;
}
