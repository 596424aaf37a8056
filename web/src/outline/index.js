// The graph as a tree, in the order in which it runs: the same document, read and changed without the canvas.
import { later } from "../panels/later.js";

/** @import { App } from "../types.d.ts" */

const Outline = later(() => import("./outline.js"), "Outline");

/** @param {App} app */
export function install(app) {
  app.panels.add({ id: "outline", title: "outline.title", side: "left", icon: "outline", order: 1, component: Outline });
  app.commands.add({ id: "outline.open", title: "outline.title", keys: ["Alt+O"], group: "view", run: async () => {
    await Outline.load(); // so that there is something to focus
    app.open.left.value = "outline";
    setTimeout(() => /** @type {HTMLElement | null} */ (document.querySelector("[data-panel=outline] [role=treeitem][tabindex='0']"))?.focus());
  } });
}
