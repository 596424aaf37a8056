// Pointer, wheel and touch on the canvas: panning, zooming, picking, dragging, selecting by a box. Links are wiring.js's.
import { moveTo } from "../model/edit.js";
import { overlaps } from "../model/geometry.js";
import { t } from "../text/index.js";
import { beginWire } from "./wiring.js";

/** @import { App, Point } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */
/** A gesture under way: what it does while the pointer moves and when it ends. `cancel` when it is taken back.
 * @typedef {{move(event: PointerEvent): void, end(event: PointerEvent): void, cancel(): void}} Gesture */

const CONTROLS = "input, textarea, select, button, a, [data-control]";

/** @param {App} app @param {Canvas} canvas */
export function listenToPointer(app, canvas) {
  const { host } = canvas;
  /** Fingers and pens that are down. @type {Map<number, PointerEvent>} */
  const down = new Map();
  let gesture = /** @type {Gesture | null} */ (null);
  let spread = 0;

  host.addEventListener("pointerdown", (event) => {
    if (event.target instanceof Element && event.target.closest(CONTROLS) && event.button === 0) return;
    down.set(event.pointerId, event);
    if (down.size === 2) {
      gesture?.cancel();
      gesture = null;
      spread = distance();
      return;
    }
    if (down.size > 1 || !canvas.tab) return;
    gesture = begin(event);
    if (gesture) {
      host.setPointerCapture(event.pointerId);
      if (!(event.target instanceof Element && event.target.closest("[data-node]"))) host.focus({ preventScroll: true });
      event.preventDefault();
    }
  });

  host.addEventListener("pointermove", (event) => {
    if (down.has(event.pointerId)) {
      if (down.size === 2) pinch(event);
      down.set(event.pointerId, event);
    }
    if (down.size < 2) gesture?.move(event);
  });

  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
    host.addEventListener(name, (event) => {
      if (!down.delete(event.pointerId)) return;
      if (name === "pointerup") gesture?.end(event);
      else gesture?.cancel();
      gesture = null;
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !gesture) return;
    gesture.cancel();
    gesture = null;
    event.preventDefault();
  });

  host.addEventListener("wheel", (event) => {
    if (event.target instanceof Element && scrolls(event.target, event)) return;
    event.preventDefault();
    const mouse = event.deltaMode !== 0 || (event.deltaX === 0 && Math.abs(event.deltaY) >= 100 && Number.isInteger(event.deltaY));
    if (event.ctrlKey || event.metaKey || mouse && !event.shiftKey) {
      const step = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
      canvas.zoom(Math.exp(-Math.max(-120, Math.min(120, step)) * (mouse ? 0.0016 : 0.01)), event);
    } else if (event.shiftKey && event.deltaX === 0) canvas.pan(-event.deltaY, 0);
    else canvas.pan(-event.deltaX, -event.deltaY);
  }, { passive: false });

  /** A text with the focus scrolls by itself. @param {Element} target @param {WheelEvent} event */
  function scrolls(target, event) {
    const text = target.closest("textarea, [data-scrolls]");
    return text !== null && !event.ctrlKey && text.contains(document.activeElement) && text.scrollHeight > text.clientHeight;
  }

  /** @param {PointerEvent} event @returns {Gesture | null} */
  function begin(event) {
    const target = event.target instanceof Element ? event.target : host;
    if (event.button === 1 || event.button === 0 && spaceIsDown) return panning(event);
    if (event.button !== 0) return null;
    const socket = /** @type {HTMLElement | null} */ (target.closest("[data-socket]"));
    if (socket) return beginWire(app, canvas, socket, event);
    const node = /** @type {HTMLElement | null} */ (target.closest("[data-node]"))?.dataset.node ?? canvas.nodeAt(canvas.pointAt(event));
    if (node) return dragging(app, canvas, node, event);
    if (event.shiftKey || event.ctrlKey || event.metaKey) return boxing(canvas, event);
    return panning(event);
  }

  /** @param {PointerEvent} start @returns {Gesture} */
  function panning(start) {
    let [x, y] = [start.clientX, start.clientY];
    let moved = false;
    host.classList.add("panning");
    const done = () => host.classList.remove("panning");
    return {
      move(event) {
        moved ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > 3;
        if (moved) canvas.pan(event.clientX - x, event.clientY - y);
        [x, y] = [event.clientX, event.clientY];
      },
      end() {
        done();
        if (!moved && canvas.tab) canvas.tab.selection.value = new Set();
      },
      cancel: done,
    };
  }

  const distance = () => {
    const [a, b] = [...down.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  };

  /** Two fingers: the world under them goes along. @param {PointerEvent} event */
  function pinch(event) {
    const before = /** @type {PointerEvent} */ (down.get(event.pointerId));
    const other = /** @type {PointerEvent} */ ([...down.values()].find((one) => one.pointerId !== event.pointerId));
    canvas.pan((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
    const next = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
    const middle = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
    if (spread > 0 && next > 0) canvas.zoom(next / spread, middle);
    spread = next;
  }

  let spaceIsDown = false;
  host.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target === host) spaceIsDown = true;
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") spaceIsDown = false;
  });
}

/** Drag a node, or all that are selected if it is one of them. The document changes once, at the end.
 * @param {App} app @param {Canvas} canvas @param {string} id @param {PointerEvent} start @returns {Gesture} */
function dragging(app, canvas, id, start) {
  const tab = /** @type {import("../types.d.ts").Tab} */ (canvas.tab);
  const before = tab.selection.peek();
  const adds = start.shiftKey || start.ctrlKey || start.metaKey;
  if (!before.has(id)) tab.selection.value = adds ? new Set([...before, id]) : new Set([id]);
  canvas.nodes.element(id)?.focus({ preventScroll: true });
  const [x0, y0] = canvas.pointAt(start);
  /** @type {Map<string, Point>} */
  const from = new Map([...tab.selection.peek()].flatMap((one) => {
    const box = canvas.scene.items.get(one)?.box;
    return box ? [[one, /** @type {Point} */ ([box.x, box.y])]] : [];
  }));
  let moved = false;
  /** @param {ReadonlyMap<string, Point>} places */
  const put = (places) => {
    const wires = canvas.scene.shift(places);
    canvas.nodes.move(places.keys());
    canvas.wires.move(wires);
    if (canvas.isFar) canvas.invalidate("scene");
  };
  let places = from;
  return {
    move(event) {
      moved ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > 3;
      if (!moved) return;
      const [x, y] = canvas.pointAt(event);
      places = new Map([...from].map(([one, [fx, fy]]) => [one, [fx + x - x0, fy + y - y0]]));
      put(places);
    },
    end() {
      if (moved) app.tabs.edit(t("canvas.move"), (graph) => moveTo(graph, places));
      else if (!adds) tab.selection.value = new Set([id]);
      else if (before.has(id)) tab.selection.value = new Set([...before].filter((one) => one !== id));
    },
    cancel: () => put(from),
  };
}

/** Select what a box touches. @param {Canvas} canvas @param {PointerEvent} start @returns {Gesture} */
function boxing(canvas, start) {
  const tab = /** @type {import("../types.d.ts").Tab} */ (canvas.tab);
  const before = tab.selection.peek();
  const [x0, y0] = canvas.pointAt(start);
  const shade = document.createElement("div");
  shade.className = "selection-box";
  canvas.over.append(shade);
  return {
    move(event) {
      const [x, y] = canvas.pointAt(event);
      const box = { x: Math.min(x, x0), y: Math.min(y, y0), width: Math.abs(x - x0), height: Math.abs(y - y0) };
      const [left, top] = canvas.onScreen([box.x, box.y]);
      const zoom = tab.camera.peek().zoom;
      Object.assign(shade.style, { transform: `translate(${left}px, ${top}px)`, width: `${box.width * zoom}px`, height: `${box.height * zoom}px` });
      tab.selection.value = new Set([...before, ...[...canvas.scene.items.values()].filter((item) => overlaps(item.box, box)).map((item) => item.id)]);
    },
    end: () => shade.remove(),
    cancel() {
      shade.remove();
      tab.selection.value = before;
    },
  };
}
