// The whole graph in a corner, and what of it is seen. It is painted in frames that are drawn anyway; at rest it costs nothing.
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { around } from "../model/geometry.js";
import { t } from "../text/index.js";
import { safeColor } from "./decorations.js";
import { readColors } from "./far.js";

/** @import { Canvas } from "./canvas.js" */

const [WIDTH, HEIGHT] = [180, 120];

/** @param {{canvas: Canvas}} props */
export function Minimap({ canvas }) {
  const ref = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = useRef({ x: 0, y: 0, scale: 1 });
  useEffect(() => {
    const shown = /** @type {HTMLCanvasElement} */ (ref.current);
    const ratio = devicePixelRatio;
    [shown.width, shown.height] = [WIDTH * ratio, HEIGHT * ratio];
    const whole = new OffscreenCanvas(shown.width, shown.height); // the graph, without what of it is seen
    const [front, back] = [/** @type {CanvasRenderingContext2D} */ (shown.getContext("2d")), /** @type {OffscreenCanvasRenderingContext2D} */ (whole.getContext("2d"))];
    let colors = /** @type {Record<string, string>} */ ({});

    function paintGraph() {
      colors = readColors(canvas.over, ["accent", "line", "dim"]);
      back.setTransform(1, 0, 0, 1, 0, 0);
      back.clearRect(0, 0, whole.width, whole.height);
      const all = around([...canvas.scene.boxes()].map(([, box]) => box));
      if (!all) return;
      const scale = Math.min((WIDTH - 12) / all.width, (HEIGHT - 12) / all.height, 0.2);
      place.current = { x: all.x + all.width / 2 - WIDTH / 2 / scale, y: all.y + all.height / 2 - HEIGHT / 2 / scale, scale };
      const k = scale * ratio;
      back.setTransform(k, 0, 0, k, -place.current.x * k, -place.current.y * k);
      for (const { of, box } of canvas.scene.decorations.values()) {
        back.globalAlpha = 0.4;
        back.fillStyle = safeColor(of.color) || colors.line;
        back.fillRect(box.x, box.y, box.width, box.height);
      }
      back.globalAlpha = 1;
      back.fillStyle = colors.dim;
      for (const { box } of canvas.scene.items.values()) back.fillRect(box.x, box.y, box.width, box.height);
    }

    /** @param {{camera: boolean, scene: boolean}} stale */
    function paint(stale) {
      if (!stale.scene && !stale.camera || !shown.offsetParent) return;
      if (stale.scene) paintGraph();
      const [view, { x, y, scale }] = [canvas.view(), place.current];
      front.setTransform(1, 0, 0, 1, 0, 0);
      front.clearRect(0, 0, shown.width, shown.height);
      front.drawImage(whole, 0, 0);
      front.setTransform(ratio, 0, 0, ratio, 0, 0);
      front.strokeStyle = colors.accent;
      front.lineWidth = 1.5;
      const [left, top] = [Math.max(1, (view.x - x) * scale), Math.max(1, (view.y - y) * scale)];
      front.strokeRect(left, top, Math.min(WIDTH - 1, (view.x + view.width - x) * scale) - left, Math.min(HEIGHT - 1, (view.y + view.height - y) * scale) - top);
    }
    paint({ camera: true, scene: true });
    return canvas.onFrame(paint);
  }, [canvas]);

  /** @param {PointerEvent} event */
  function go(event) {
    const tab = canvas.tab;
    if (!tab || !(event.buttons & 1) || !ref.current) return;
    ref.current.setPointerCapture(event.pointerId);
    const [corner, view, { x, y, scale }] = [ref.current.getBoundingClientRect(), canvas.view(), place.current];
    const [cx, cy] = [x + (event.clientX - corner.left) / scale, y + (event.clientY - corner.top) / scale];
    tab.camera.value = { ...tab.camera.peek(), x: cx - view.width / 2, y: cy - view.height / 2 };
  }
  return html`<canvas class="minimap" ref=${ref} aria-hidden="true" title=${t("canvas.minimap")} onPointerDown=${go} onPointerMove=${go}></canvas>`;
}
