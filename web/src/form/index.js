// The form view and the inspector, and the link that opens a form.
import { later } from "../panels/later.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  app.views.add({ id: "form", title: "view.form", icon: "form", order: 1, component: later(() => import("./form.js"), "FormView") });
  app.panels.add({ id: "inspector", title: "panel.inspector", side: "right", icon: "inspector", order: 0, component: later(() => import("../panels/inspector.js"), "Inspector") });
  if (innerWidth < 700) app.view.value = "form";
}
