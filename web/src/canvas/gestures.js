// Pointer, wheel and touch on the canvas: panning, zooming, and which gesture begins where. Links are wiring.js's.
import { addDot, dotId, dotOf, removeDots } from "../model/reroutes.js";
import { t } from "../text/index.js";
import { dragging, resizing } from "./dragging.js";
import { linkAt } from "./link-at.js";
import { retitle } from "./retitling.js";
import { selecting } from "./selecting.js";
import { beginWire } from "./wiring.js";

/** @import { App, Edge, Point, Tab } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */
/** A gesture under way: what it does while the pointer moves and when it ends. `cancel` when it is taken back.
 * @typedef {{move(event: PointerEvent): void, end(event: PointerEvent): void, cancel(): void}} Gesture */

const CONTROLS = "input, textarea, select, button, a, video, audio, [data-control]";
const HOLD_MS = 500; // a finger that stays so long asks for the menu

/** @param {App} app @param {Canvas} canvas */
export function listenToPointer(app, canvas) {
  const { host } = canvas;
  /** Fingers and pens that are down. @type {Map<number, PointerEvent>} */
  const down = new Map();
  let gesture = /** @type {Gesture | null} */ (null);
  let spread = 0;
  let holding = 0;
  let resting = [0, 0];

  /** @param {"end" | "cancel"} way @param {PointerEvent} [event] */
  function finish(way, event) {
    const last = gesture;
    gesture = null;
    clearTimeout(holding);
    cancelAnimationFrame(canvas.edgeFrame);
    if (way === "end" && event) last?.end(event);
    else last?.cancel();
  }

  host.addEventListener("pointerdown", (event) => {
    const target = /** @type {Element} */ (event.target);
    const onControl = event.button === 0 && target.closest(CONTROLS) !== null;
    if (onControl && event.pointerType !== "touch") return;
    down.set(event.pointerId, event);
    if (down.size === 2) {
      finish("cancel");
      spread = distance();
      for (const id of down.keys()) host.setPointerCapture(id);
      return;
    }
    if (down.size > 1 || !canvas.tab || onControl) return;
    gesture = begin(event);
    if (!gesture) return;
    host.setPointerCapture(event.pointerId);
    if (!target.closest("[data-node], [data-thing]")) host.focus({ preventScroll: true });
    event.preventDefault();
    resting = [event.clientX, event.clientY];
    if (event.pointerType === "touch") holding = window.setTimeout(() => held(event), HOLD_MS);
  });

  /** A finger rested: what is under it is selected, and the menu opens. @param {PointerEvent} event */
  function held(event) {
    finish("cancel");
    const id = idAt(event);
    const tab = /** @type {Tab} */ (canvas.tab);
    if (id && !tab.selection.peek().has(id)) tab.selection.value = new Set([id]);
    app.commands.run("menu.context", { event });
  }
  host.addEventListener("contextmenu", () => gesture && finish("cancel")); // the browser asked for it first

  host.addEventListener("pointermove", (event) => {
    if (down.has(event.pointerId)) {
      if (down.size === 2) pinch(event);
      down.set(event.pointerId, event);
    }
    if (down.size < 2) gesture?.move(event);
    if (holding && Math.hypot(event.clientX - resting[0], event.clientY - resting[1]) > 8) clearTimeout(holding);
  });

  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
    host.addEventListener(name, (event) => {
      if (down.delete(event.pointerId)) finish(name === "pointerup" ? "end" : "cancel", event);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !gesture) return;
    finish("cancel");
    event.preventDefault();
  }, canvas.life);

  host.addEventListener("dblclick", (event) => {
    const target = document.elementFromPoint(event.clientX, event.clientY) ?? host; // the event itself goes to who has the pointer
    if (event.button !== 0 || !canvas.tab || target.closest(`${CONTROLS}, [data-socket]`)) return;
    const [id, at] = [idAt(event, target), canvas.pointAt(event)];
    const wire = id ? null : linkAt(canvas, at);
    if (dotOf(id)) app.tabs.edit(t("canvas.straighten"), (graph) => removeDots(graph, new Set([id])));
    else if (wire) bend(wire, at);
    else if (!id) app.commands.run("palette.open", { at });
    else if ((target.closest(".node-head") || canvas.isFar) && app.commands.find("subgraph.enter")?.when?.()) app.commands.run("subgraph.enter");
    else if (canvas.scene.decorations.has(id) || target.closest(".node-head") || canvas.isFar) retitle(canvas, id);
  });

  /** A link gets a corner. @param {{edge: Edge, part: number}} wire @param {Point} at @returns {string} The corner's id. */
  function bend({ edge: { key }, part }, at) {
    app.tabs.edit(t("canvas.bend"), (graph) => addDot(graph, key, part, at));
    const id = dotId(key, part);
    /** @type {Tab} */ (canvas.tab).selection.value = new Set([id]);
    canvas.keep(id);
    return id;
  }

  /** What is under the pointer: a node, a frame, a note, a corner; "" for none. @param {MouseEvent} event
   * @param {EventTarget | null} [target] */
  function idAt(event, target = event.target) {
    const element = target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest("[data-node], [data-thing]")) : null;
    return element?.dataset.node ?? element?.dataset.thing ?? canvas.thingAt(canvas.pointAt(event));
  }

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
    const id = idAt(event);
    if (target.closest(".grip")) return resizing(app, canvas, id, event);
    // a finger moves the canvas; what is selected already, it drags
    if (id) return event.pointerType === "touch" && !canvas.tab?.selection.peek().has(id) ? panning(event, id) : dragging(app, canvas, id, event);
    const at = canvas.pointAt(event);
    const wire = event.altKey ? linkAt(canvas, at) : null;
    if (wire) return dragging(app, canvas, bend(wire, at), event);
    if (event.altKey) return selecting(canvas, event, "lasso");
    return event.shiftKey || event.ctrlKey || event.metaKey ? selecting(canvas, event, "box") : panning(event);
  }

  /** @param {PointerEvent} start @param {string} [id] What is selected if the canvas does not move. @returns {Gesture} */
  function panning(start, id) {
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
        if (!moved && canvas.tab) canvas.tab.selection.value = new Set(id ? [id] : []);
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
    if (event.key !== " " || !(event.target instanceof Element) || !event.target.matches(".canvas, [data-node], [data-thing]")) return;
    spaceIsDown = true;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") spaceIsDown = false;
  }, canvas.life);
}
