// A picture that one looks at: zoom by wheel, fingers and keys, moved by dragging. Several stages with one signal move together.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

/** `zoom` 0: as large as there is room. `x`, `y`: from the middle of the stage to that of the picture. @typedef {{zoom: number, x: number, y: number}} Look */
/** @import { Signal } from "@preact/signals" */

/** @type {Look} */
export const FIT = Object.freeze({ zoom: 0, x: 0, y: 0 });
const [LEAST, MOST] = [0.05, 32];

/** @param {{look: Signal<Look>, width: number, height: number, label: string, children?: any, keys?: (event: KeyboardEvent) => boolean | void}} props */
export function Stage({ look, width, height, label, children, keys }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  const room = useSignal({ width: 0, height: 0 });
  const fingers = useRef(/** @type {Map<number, {x: number, y: number}>} */ (new Map()));
  const fit = Math.min(room.value.width / width, room.value.height / height) || 1;
  const zoom = look.value.zoom || fit;

  /** Zoom about a point, given from the middle of the stage. @param {number} to @param {number} [x] @param {number} [y] */
  function zoomTo(to, x = 0, y = 0) {
    const now = look.peek();
    const then = Math.min(MOST, Math.max(LEAST, to));
    const by = then / (now.zoom || fit);
    look.value = { zoom: then, x: x - (x - now.x) * by, y: y - (y - now.y) * by };
  }
  const move = (/** @type {number} */ x, /** @type {number} */ y) => void (look.value = { zoom, x: look.peek().x + x, y: look.peek().y + y });
  /** @param {{clientX: number, clientY: number}} event @returns {[number, number]} */
  function fromMiddle({ clientX, clientY }) {
    const box = /** @type {HTMLElement} */ (element.current).getBoundingClientRect();
    return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  }

  useEffect(() => {
    const stage = /** @type {HTMLElement} */ (element.current);
    const watcher = new ResizeObserver(() => void (room.value = { width: stage.clientWidth, height: stage.clientHeight }));
    watcher.observe(stage);
    return () => watcher.disconnect();
  }, []);
  useEffect(() => {
    const stage = /** @type {HTMLElement} */ (element.current);
    /** @param {WheelEvent} event */
    const wheel = (event) => {
      event.preventDefault();
      zoomTo(zoom * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0018)), ...fromMiddle(event));
    };
    stage.addEventListener("wheel", wheel, { passive: false });
    return () => stage.removeEventListener("wheel", wheel);
  });

  /** @param {PointerEvent} event */
  function onMove(event) {
    const before = fingers.current.get(event.pointerId);
    if (!before) return;
    const [one, other] = [...fingers.current.values()];
    const apart = () => Math.hypot(one.x - other.x, one.y - other.y);
    const was = other ? apart() : 0;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    Object.assign(before, { x: event.clientX, y: event.clientY });
    if (!other) return move(dx, dy);
    move(dx / 2, dy / 2);
    if (was) zoomTo((look.peek().zoom || fit) * (apart() / was), ...fromMiddle({ clientX: (one.x + other.x) / 2, clientY: (one.y + other.y) / 2 }));
  }
  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const by = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (keys?.(event)) event.preventDefault();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "+" || event.key === "=") zoomTo(zoom * 1.25);
    else if (event.key === "-") zoomTo(zoom * 0.8);
    else if (event.key === "0") look.value = FIT;
    else if (event.key === "1") zoomTo(1);
    else if (by) (event.preventDefault(), move(by[0], by[1]));
  }
  const { x, y } = look.value;
  return html`<div class="stage" ref=${element} tabindex="0" autofocus role="group" aria-label=${label} onKeyDown=${onKey} data-zoom=${zoom.toFixed(3)}
      onPointerDown=${(/** @type {any} */ event) => event.button === 0 && (event.currentTarget.setPointerCapture(event.pointerId), fingers.current.set(event.pointerId, { x: event.clientX, y: event.clientY }))}
      onPointerMove=${onMove} onPointerUp=${(/** @type {any} */ event) => fingers.current.delete(event.pointerId)} onPointerCancel=${(/** @type {any} */ event) => fingers.current.delete(event.pointerId)}
      onDblClick=${(/** @type {any} */ event) => (look.peek().zoom ? (look.value = FIT) : zoomTo(1, ...fromMiddle(event)))}>
    <div class=${`laid ${zoom > 2 ? "pixels" : ""}`} style=${{ width: `${width}px`, height: `${height}px`, transform: `translate(-50%, -50%) translate(${x}px, ${y}px) scale(${zoom})` }}>${children}</div>
  </div>`;
}

/** A picture as it is loaded. @param {string} url @returns {Promise<HTMLImageElement>} */
export async function loaded(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}
