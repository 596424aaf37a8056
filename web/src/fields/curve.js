// A curve from 0 to 1: points that are dragged, or moved by the arrow keys; Delete takes one out, Enter puts one beside it.
import { useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../text/index.js";
import { on } from "./parts.js";

/** @import { ControlProps } from "./index.js" */

const hold = (/** @type {number} */ value) => Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000;

/** @param {ControlProps} props */
export function Curve({ input, value, change, height, attrs, where }) {
  const svg = useRef(/** @type {SVGSVGElement | null} */ (null));
  const [pulled, setPulled] = useState(/** @type {number[][] | null} */ (null));
  const points = /** @type {number[][]} */ (pulled ?? (Array.isArray(value) ? value : []));
  const [wide, high, dot] = where === "node" ? [200, height, 5] : [200, 100, 3];
  const at = (/** @type {any} */ event) => {
    const box = /** @type {SVGSVGElement} */ (svg.current).getBoundingClientRect();
    return [hold((event.clientX - box.left) / box.width), hold(1 - (event.clientY - box.top) / box.height)];
  };
  /** A point stays between its neighbours. @param {number} index @param {number[]} to */
  const moved = (index, [x, y]) => points.with(index, [Math.max(points[index - 1]?.[0] + 0.001 || 0, Math.min(points[index + 1]?.[0] - 0.001 || 1, hold(x))), hold(y)]);
  const add = (/** @type {number[]} */ point) => !points.some(([x]) => x === point[0]) && change([...points, point].sort((a, b) => a[0] - b[0]));
  const drag = (/** @type {number} */ index) => on((event) => {
    event.stopPropagation();
    const [point, stop] = [event.currentTarget, new AbortController()];
    let next = points;
    point.setPointerCapture(event.pointerId);
    point.addEventListener("pointermove", on((move) => setPulled((next = moved(index, at(move))))), stop);
    for (const name of ["pointerup", "pointercancel"]) point.addEventListener(name, () => {
      stop.abort();
      setPulled(null);
      if (name === "pointerup" && next !== points) change(next);
    }, stop);
  });
  const press = (/** @type {number} */ index) => on((event) => {
    const [x, y] = points[index];
    const way = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] })[event.key];
    const pace = event.shiftKey ? 0.1 : 0.01;
    if (way) change(moved(index, [x + way[0] * pace, y + way[1] * pace]), { merge: true });
    else if ((event.key === "Delete" || event.key === "Backspace") && points.length > 2) change(points.toSpliced(index, 1));
    else if (event.key === "Enter") add([hold((x + (points[index + 1]?.[0] ?? points[index - 1]?.[0] ?? 0)) / 2), y]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const px = (/** @type {number[]} */ [x, y]) => [x * wide, (1 - y) * high];
  return html`<svg ref=${svg} class="curve-field" data-control viewBox=${`0 0 ${wide} ${high}`} style=${{ height: where === "node" ? `${high}px` : "auto" }} preserveAspectRatio="none" role="group" aria-label=${t("curve.label", { input: input.title })}
      onPointerDown=${on((event) => event.button === 0 && add(at(event)))}>
    <polyline points=${points.length ? [[0, points[0][1]], ...points, [1, /** @type {number[]} */ (points.at(-1))[1]]].map(px).join(" ") : ""} />
    ${points.map((point, index) => html`<ellipse key=${index} cx=${px(point)[0]} cy=${px(point)[1]} rx=${dot} ry=${dot} tabindex="0" role="slider" ...${index ? {} : attrs}
      aria-label=${t("curve.point", { number: index + 1 })} aria-valuemin="0" aria-valuemax="1" aria-valuenow=${point[1]} aria-valuetext=${point.join(", ")} onPointerDown=${drag(index)} onKeyDown=${press(index)} />`)}
  </svg>`;
}
