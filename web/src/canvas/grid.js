// The dots behind everything. They lie in the world and move with it; only when the view leaves them they are laid anew.
import { contains } from "../model/geometry.js";

/** @import { App, Box } from "../types.d.ts" */

/** @param {App} app @param {HTMLElement} world */
export function createGrid(app, world) {
  const element = document.createElement("div");
  element.className = "grid";
  world.append(element);
  let laid = { x: 0, y: 0, width: 0, height: 0, step: 0 };
  return {
    /** @param {Box | null} view null: no dots. @param {number} zoom */
    draw(view, zoom) {
      const hidden = !view || !app.settings.grid.peek();
      if (element.hidden !== hidden) element.hidden = hidden;
      const step = zoom < 0.6 ? 100 : 20;
      if (hidden || step === laid.step && contains(laid, view)) return;
      const even = (/** @type {number} */ value) => Math.floor(value / step) * step;
      laid = { x: even(view.x - view.width), y: even(view.y - view.height), width: 3 * view.width + step, height: 3 * view.height + step, step };
      Object.assign(element.style, {
        transform: `translate(${laid.x}px, ${laid.y}px)`, width: `${laid.width}px`, height: `${laid.height}px`, backgroundSize: `${step}px ${step}px`,
      });
    },
  };
}
