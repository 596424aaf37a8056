// The graph as a tree, in the order in which it runs: the same document, read and changed without the canvas.
import { Outline } from "./outline.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  app.panels.add({ id: "outline", title: "outline.title", side: "left", icon: "outline", order: 1, component: Outline });
  app.commands.add({ id: "outline.open", title: "outline.title", keys: ["Alt+O"], group: "view", run: () => {
    app.open.left.value = "outline";
    setTimeout(() => /** @type {HTMLElement | null} */ (document.querySelector("[data-panel=outline] [role=treeitem][tabindex='0']"))?.focus());
  } });
}
