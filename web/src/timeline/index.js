// The denoise timeline: its panel and the command that opens it.
import { later } from "../panels/later.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  app.panels.add({ id: "timeline", title: "timeline.title", side: "bottom", icon: "timeline", order: 20, component: later(() => import("./timeline.js"), "Timeline") });
  app.commands.add({ id: "timeline.open", title: "timeline.open", keys: ["Ctrl+Alt+T"], group: "run",
    run: () => void (app.open.bottom.value = app.open.bottom.peek() === "timeline" ? "" : "timeline") });
}
