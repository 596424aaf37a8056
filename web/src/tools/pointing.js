// Pointers and keys upon the picture that is painted. One finger paints, two move and zoom; keys move a cursor that paints as well.
import { pressed } from "../keys.js";
import { t } from "../text/index.js";

/** @import { Painter, Tool } from "./painter.js" */

/** @type {Record<string, Tool>} */
export const TOOL_KEYS = { B: "brush", E: "eraser", G: "fill", L: "lasso", I: "pick" };

/** @param {Painter} painter @param {HTMLElement} view @param {(text: string) => void} say @returns {() => void} Stops it. */
export function listen(painter, view, say) {
  /** Pointers that are down, by id: where they are. @type {Map<number, [number, number]>} */
  const down = new Map();
  let panning = false;
  let space = /** @type {"" | "held" | "used"} */ ("");
  const ring = /** @type {HTMLElement} */ (view.querySelector(".ring"));

  /** @param {PointerEvent | WheelEvent} event @returns {[number, number]} */
  const at = (event) => {
    const box = view.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  /** @param {[number, number]} point @returns {[number, number]} */
  const inside = ([x, y]) => {
    const camera = painter.camera.peek();
    return [(x - camera.x) / camera.zoom, (y - camera.y) / camera.zoom];
  };
  const pressure = (/** @type {PointerEvent} */ event) => (event.pointerType === "pen" && event.pressure ? 0.15 + 0.85 * event.pressure : 1);
  const middle = () => {
    const all = [...down.values()];
    const [x, y] = [0, 1].map((axis) => all.reduce((sum, one) => sum + one[axis], 0) / all.length);
    return { x, y, apart: all.length > 1 ? Math.hypot(all[0][0] - all[1][0], all[0][1] - all[1][1]) : 0 };
  };
  const show = (/** @type {[number, number]} */ [x, y]) => {
    const wide = Math.max(4, painter.size.peek() * painter.camera.peek().zoom);
    Object.assign(ring.style, { translate: `${x - wide / 2}px ${y - wide / 2}px`, width: `${wide}px`, height: `${wide}px` });
  };

  /** @type {Record<string, (event: any) => void>} */
  const heard = {
    pointerdown(event) {
      view.focus();
      view.setPointerCapture(event.pointerId);
      down.set(event.pointerId, at(event));
      if (down.size === 2) painter.drop();
      panning = down.size > 1 || event.button === 1 || space !== "";
      if (space) space = "used";
      if (panning || event.button > 0) return event.preventDefault();
      if (painter.tool.peek() === "lasso" && !event.shiftKey) painter.corners.value = [];
      painter.press(...inside(at(event)), { pressure: pressure(event), straight: event.shiftKey });
      event.preventDefault();
    },
    pointermove(event) {
      show(at(event));
      if (!down.has(event.pointerId)) return;
      if (!panning) {
        const all = event.getCoalescedEvents?.() ?? [];
        for (const one of all.length ? all : [event]) painter.move(...inside(at(one)), pressure(one));
        return;
      }
      const before = middle();
      down.set(event.pointerId, at(event));
      const after = middle();
      painter.panBy(after.x - before.x, after.y - before.y);
      if (before.apart && after.apart) painter.zoomBy(after.apart / before.apart, after.x, after.y);
    },
    pointerup(event) {
      if (!down.delete(event.pointerId)) return;
      if (!panning) {
        painter.lift();
        if (painter.tool.peek() === "lasso" && painter.corners.peek().length > 3) painter.closeLasso();
      }
      if (!down.size) panning = false;
    },
    pointercancel(event) {
      down.delete(event.pointerId);
      painter.drop();
    },
    wheel(event) {
      event.preventDefault();
      painter.zoomBy(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), ...at(event));
    },
    keydown(event) {
      const keys = pressed(event);
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[/** @type {string} */ (event.key)];
      if (step) travel(step, event.shiftKey ? 10 : 1);
      else if (keys === " " && event.shiftKey) paint(true);
      else if (keys === " ") space ||= "held";
      else if (keys === "Enter" && painter.corners.peek().length) painter.closeLasso();
      else if (keys === "Escape" && painter.corners.peek().length) painter.drop();
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    keyup(event) {
      if (event.key !== " " || !space) return;
      if (space === "held") paint(false);
      space = "";
    },
    blur: () => void (space = ""),
  };

  /** @param {number[]} step @param {number} by */
  function travel([dx, dy], by) {
    const { width, height } = painter.surface;
    const [x, y] = painter.cursor.peek();
    const to = /** @type {[number, number]} */ ([Math.min(width - 1, Math.max(0, x + dx * by)), Math.min(height - 1, Math.max(0, y + dy * by))]);
    painter.cursor.value = to;
    const { x: left, y: top, zoom } = painter.camera.peek();
    const shown = /** @type {[number, number]} */ ([left + (to[0] + 0.5) * zoom, top + (to[1] + 0.5) * zoom]);
    const out = (/** @type {number} */ place, /** @type {number} */ end) => Math.min(0, end - 20 - place) + Math.max(0, 20 - place);
    painter.panBy(out(shown[0], view.clientWidth), out(shown[1], view.clientHeight));
    show(shown);
    say(t("paint.at", { x: to[0], y: to[1] }));
  }

  /** @param {boolean} straight */
  function paint(straight) {
    const [x, y] = painter.cursor.peek();
    painter.press(x + 0.5, y + 0.5, { straight });
    painter.lift();
    say(t(painter.tool.peek() === "lasso" ? "paint.corner" : "paint.painted", { x, y }));
  }

  for (const [name, work] of Object.entries(heard)) view.addEventListener(name, work, { passive: false });
  return () => Object.entries(heard).forEach(([name, work]) => view.removeEventListener(name, work));
}
