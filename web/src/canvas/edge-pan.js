// While something is dragged to the border, the world comes along: the canvas pans, and the gesture is told of the same pointer again.

/** @import { Canvas } from "./canvas.js" */

const MARGIN = 30;
const MOST = 16; // pixels a frame

/** To be called whenever a dragging gesture moves. Ends by itself once the pointer leaves the border or the gesture is over.
 * @param {Canvas} canvas @param {PointerEvent} event */
export function edgePan(canvas, event) {
  const { left, top, right, bottom } = canvas.host.getBoundingClientRect();
  const speed = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ to) =>
    MOST * (Math.min(1, Math.max(0, from + MARGIN - at) / MARGIN) - Math.min(1, Math.max(0, at - to + MARGIN) / MARGIN));
  const [dx, dy] = [speed(event.clientX, left, right), speed(event.clientY, top, bottom)];
  cancelAnimationFrame(canvas.edgeFrame);
  canvas.edgeFrame = dx || dy ? requestAnimationFrame(() => {
    canvas.pan(dx, dy);
    canvas.host.dispatchEvent(new PointerEvent("pointermove", event));
  }) : 0;
}
