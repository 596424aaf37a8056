// Frames, notes and the corners of links as elements: those that are near. Frames and notes lie below the links, corners above them.
import { overlaps } from "../model/geometry.js";
import { dotOf } from "../model/reroutes.js";
import { t } from "../text/index.js";

/** @import { Box } from "../types.d.ts" */
/** @import { Decoration, Scene } from "./scene.js" */

/** A colour that a document names, if it is one. @param {string | undefined} color */
export const safeColor = (color) => (/^#[0-9a-f]{3,8}$/i.test(color ?? "") ? /** @type {string} */ (color) : "");

/** @param {Scene} scene @param {HTMLElement} below @param {HTMLElement} above */
export function createNearDecorations(scene, below, above) {
  /** @type {Map<string, HTMLElement>} */
  const built = new Map();
  /** What each element was filled from. @type {Map<string, unknown>} */
  const filled = new Map();
  let selection = /** @type {ReadonlySet<string>} */ (new Set());

  /** @param {string} id */
  function build(id) {
    const decoration = scene.decorations.get(id);
    const element = document.createElement(decoration ? "section" : "span");
    element.className = decoration ? (decoration.part === "frames" ? "frame" : "note") : "dot";
    element.dataset.thing = id;
    element.tabIndex = -1;
    element.setAttribute("role", decoration ? "group" : "button");
    for (const name of decoration ? ["text", "grip"] : []) element.append(Object.assign(document.createElement("div"), { className: name }));
    element.classList.toggle("selected", selection.has(id));
    if (!decoration) element.setAttribute("aria-label", t("canvas.corner", { link: dotOf(id)?.[0].replace(">", " → ") ?? "" }));
    built.set(id, element);
    (decoration ? below : above).append(element);
    return element;
  }

  /** @param {HTMLElement} element @param {Decoration} decoration */
  function fill(element, { id, part, of }) {
    if (filled.get(id) === of) return;
    filled.set(id, of);
    const text = part === "frames" ? of.title || t("canvas.frame") : of.text || "";
    /** @type {HTMLElement} */ (element.firstChild).textContent = text;
    element.setAttribute("aria-label", t(part === "frames" ? "canvas.frame_named" : "canvas.note_named", { text: text.slice(0, 200) }));
    const color = safeColor(of.color);
    if (color) element.style.setProperty("--own", color);
    else element.style.removeProperty("--own");
  }

  /** @param {string} id @param {Box} box */
  function place(id, box) {
    const element = built.get(id) ?? build(id);
    const decoration = scene.decorations.get(id);
    const moved = `translate(${box.x}px, ${box.y}px)`;
    if (element.style.transform !== moved) element.style.transform = moved;
    if (!decoration) return element;
    if (element.style.width !== `${box.width}px`) element.style.width = `${box.width}px`;
    if (element.style.height !== `${box.height}px`) element.style.height = `${box.height}px`;
    fill(element, decoration);
    return element;
  }

  /** @param {string} id */
  function drop(id) {
    built.get(id)?.remove();
    built.delete(id);
    filled.delete(id);
  }

  return {
    /** @param {string} id */
    element: (id) => built.get(id),
    /** Put what is built where the scene has it now. @param {Iterable<string>} ids */
    move(ids) {
      for (const id of ids) {
        const box = built.has(id) && scene.boxOf(id);
        if (box) place(id, box);
      }
    },
    /** Have just those of this view in the page, and one with the focus; null: none. @param {Box | null} view
     * @param {{has(id: string): boolean}} held */
    show(view, held) {
      const wanted = new Set();
      for (const { id, box } of scene.decorations.values()) if (view && overlaps(box, view)) wanted.add(id), place(id, box);
      for (const { id, point: [x, y] } of scene.dots()) {
        if (view && overlaps({ x: x - 8, y: y - 8, width: 16, height: 16 }, view)) wanted.add(id), place(id, { x, y, width: 0, height: 0 });
      }
      for (const [id, element] of [...built]) {
        if (!wanted.has(id) && (!scene.boxOf(id) || !held.has(id) && !element.contains(document.activeElement))) drop(id);
      }
    },
    /** Build one that is to have the focus, wherever it lies. @param {string} id */
    keep(id) {
      const box = scene.boxOf(id);
      return box && place(id, box);
    },
    /** @param {ReadonlySet<string>} next */
    select(next) {
      for (const id of [...selection, ...next]) built.get(id)?.classList.toggle("selected", next.has(id));
      selection = next;
    },
    clear() {
      for (const id of [...built.keys()]) drop(id);
    },
  };
}
