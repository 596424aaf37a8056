// The links near by, as paths of one SVG. A path is written only when an end of it moves.

/** @import { Box } from "../types.d.ts" */
/** @import { Changes, Scene } from "./scene.js" */
import { overlaps } from "../model/geometry.js";

const SVG = "http://www.w3.org/2000/svg";

/** @param {HTMLElement} world @param {Scene} scene */
export function createNearWires(world, scene) {
  const svg = document.createElementNS(SVG, "svg");
  svg.classList.add("wires");
  svg.setAttribute("aria-hidden", "true");
  world.append(svg);
  /** @type {Map<string, SVGPathElement>} */
  const paths = new Map();
  let view = /** @type {Box | null} */ (null);

  /** @param {string} key */
  function write(key) {
    const wire = scene.wires.get(key);
    const path = paths.get(key);
    if (!wire || !path) return;
    path.setAttribute("d", wire.d);
    path.style.stroke = wire.color;
  }

  /** @param {string} key */
  function drop(key) {
    paths.get(key)?.remove();
    paths.delete(key);
  }

  return {
    svg,
    /** @param {string} key */
    path: (key) => paths.get(key),
    /** @param {Changes} changes */
    update({ wires, goneWires }) {
      goneWires.forEach(drop);
      wires.forEach(write);
    },
    /** @param {Iterable<string>} keys */
    move(keys) {
      for (const key of keys) write(key);
    },
    /** Have just the links of this view in the page; null: none. @param {Box | null} next */
    show(next) {
      view = next;
      svg.style.display = view ? "" : "none";
      if (!view) return;
      for (const wire of scene.wires.values()) {
        const there = paths.has(wire.key);
        const seen = overlaps(wire.box, view);
        if (seen && !there) {
          const path = document.createElementNS(SVG, "path");
          path.dataset.wire = wire.key;
          paths.set(wire.key, path);
          write(wire.key);
          svg.append(path);
        } else if (!seen && there) drop(wire.key);
      }
    },
    clear() {
      for (const key of [...paths.keys()]) drop(key);
    },
  };
}
