// What the canvas says at the pointer: the type of the link there, and with the right button the menu.
import { isTyping } from "../keys.js";
import { typeAt } from "../model/connect.js";
import { typeText } from "../model/types.js";
import { linkAt } from "./link-at.js";
import { hintOn } from "./wiring.js";

/** @import { App } from "../types.d.ts" */
/** @import { Canvas } from "./canvas.js" */

/** @param {App} app @param {Canvas} canvas */
export function listenToPointing(app, canvas) {
  const { host } = canvas;
  const hint = hintOn(canvas, "told");
  let shown = "";

  /** @param {PointerEvent | MouseEvent} event */
  function tell(event) {
    const { tab } = canvas;
    const target = event.type === "click" ? document.elementFromPoint(event.clientX, event.clientY) : event.target; // a click comes to who captured it
    const edge = target === host && !event.buttons && tab ? linkAt(canvas, canvas.pointAt(event))?.edge : undefined;
    if ((edge?.key ?? "") === shown) return;
    canvas.wires.path(shown)?.classList.remove("hot");
    canvas.wires.path(shown = edge?.key ?? "")?.classList.add("hot");
    const type = edge && tab && typeAt(app.catalog.peek(), tab.store.json.peek(), tab.scope.peek(), { node: edge.source, socket: edge.output, side: "output" });
    const corner = host.getBoundingClientRect();
    hint.say(edge && type ? `${typeText(type)}: ${edge.source} → ${edge.target}` : "", [event.clientX - corner.left, event.clientY - corner.top]);
  }
  host.addEventListener("pointermove", (event) => void (event.pointerType === "mouse" && tell(event)));
  host.addEventListener("click", tell);
  host.addEventListener("contextmenu", (event) => {
    if (isTyping(event.target)) return;
    event.preventDefault();
    app.commands.run("menu.context", { event });
  });
}
