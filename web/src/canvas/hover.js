// In the far view nothing can be hovered or read: the node under the pointer gets a border and its title here.

/** @import { Canvas } from "./canvas.js" */

/** @param {Canvas} canvas */
export function listenToHover(canvas) {
  const mark = Object.assign(document.createElement("div"), { className: "far-hover", hidden: true });
  const label = mark.appendChild(document.createElement("span"));
  canvas.over.append(mark);
  let shown = "";

  /** @param {string} id */
  function show(id) {
    const item = canvas.scene.items.get(id);
    mark.hidden = !item;
    shown = id;
    if (!item) return;
    const [[left, top], zoom] = [canvas.onScreen([item.box.x, item.box.y]), canvas.size.width / canvas.view().width];
    label.textContent = item.title;
    Object.assign(mark.style, { transform: `translate(${left - 2}px, ${top - 2}px)`, width: `${item.box.width * zoom + 4}px`, height: `${item.box.height * zoom + 4}px` });
  }
  canvas.host.addEventListener("pointermove", (event) => {
    if (!canvas.isFar && !shown) return;
    const id = canvas.isFar && !event.buttons ? canvas.nodeAt(canvas.pointAt(event)) : "";
    if (id !== shown) show(id);
  });
  canvas.host.addEventListener("pointerleave", () => shown && show(""));
  canvas.onFrame((stale) => void (shown && (stale.camera || stale.scene) && show("")));
}
