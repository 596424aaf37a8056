// Writing on the canvas: the title of a node or a frame, the text of a note. The field lies in the world, over what it changes.
import { inGraph, setDecoration, setTitle } from "../model/edit.js";
import { t } from "../text/index.js";

/** @import { Canvas } from "./canvas.js" */

/** @param {Canvas} canvas @param {string} id */
export function retitle(canvas, id) {
  const [item, decoration] = [canvas.scene.items.get(id), canvas.scene.decorations.get(id)];
  const box = item?.box ?? decoration?.box;
  if (!box || !canvas.tab) return;
  const { store, scope: { value: scope } } = canvas.tab; // one may look elsewhere before the field is left
  if (canvas.isFar) canvas.fit([id]);
  const isNote = decoration?.part === "notes";
  const before = item ? item.title : (isNote ? decoration.of.text : decoration?.of.title) ?? "";
  const field = document.createElement(isNote ? "textarea" : "input");
  field.className = "retitle";
  field.value = before;
  field.setAttribute("aria-label", t(isNote ? "canvas.note_text" : "canvas.title_of", { title: before }));
  Object.assign(field.style, { transform: `translate(${box.x}px, ${box.y}px)`, width: `${box.width}px`, height: isNote ? `${box.height}px` : "32px" });
  canvas.world.append(field);
  field.select();

  let done = false;
  /** @param {boolean} keeps */
  function finish(keeps) {
    if (done) return;
    done = true;
    const hadFocus = document.activeElement === field;
    const text = isNote ? field.value : field.value.trim();
    field.remove();
    if (keeps && text !== before) store.change(t(isNote ? "canvas.write" : "canvas.rename"), (json) => inGraph(json, scope, (graph) => {
      if (!decoration) return setTitle(graph, id, text === item?.spec.title ? "" : text);
      return setDecoration(graph, decoration.part, id, { ...decoration.of, [isNote ? "text" : "title"]: text });
    }), { scope });
    if (hadFocus) (canvas.keep(id) ?? canvas.host).focus({ preventScroll: true });
  }
  field.addEventListener("blur", () => finish(true));
  field.addEventListener("keydown", (/** @type {any} */ event) => {
    if (event.isComposing) return;
    if (event.key === "Escape" || event.key === "Enter" && (!isNote || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      finish(event.key === "Enter");
    }
  });
}
