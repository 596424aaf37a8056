// Results: the gallery, and the viewer, comparison and sweep that open from it. What is rarely open is loaded when it is asked for.
import { html } from "../html.js";
import { t } from "../text/index.js";
import { listenToDrops } from "./dropping.js";
import { createFound } from "./found.js";
import { later } from "../panels/later.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  const found = createFound(app);
  const Gallery = later(() => import("./gallery.js"), "Gallery");
  const component = () => html`<${Gallery} app=${app} found=${found} />`;
  app.views.add({ id: "gallery", title: "results.gallery", icon: "gallery", order: 20, component });
  app.panels.add({ id: "results", title: "results.gallery", side: "left", icon: "gallery", order: 60, component });
  app.commands.add(
    { id: "view.gallery", title: "results.gallery", keys: ["Ctrl+Alt+G"], group: "view", run: () => void (app.view.value = "gallery") },
    { id: "viewer.open", title: "results.viewer", group: "view", hidden: true, run: (/** @type {any} */ given) => app.toasts.attempt(async () => {
      const { shownOf, Viewer } = await import("./viewer.js");
      const shown = await shownOf(app, given);
      void app.dialogs.open(t("results.viewer"), Viewer, shown, { wide: true }); // whoever runs the command need not wait until it is closed
    }) },
    { id: "results.compare", title: "results.compare", group: "view", hidden: true, run: (/** @type {any} */ [a, b]) => app.toasts.attempt(async () => {
      const { Comparing } = await import("./comparing.js");
      const pair = [a, b].map((one) => ({ job: one.job?.id ?? one.job, row: one.row }));
      void app.dialogs.open(t("results.compare"), Comparing, { pair }, { wide: true });
    }) },
    { id: "results.sweep", title: "results.sweep", group: "view", hidden: true, run: (/** @type {any} */ items) => app.toasts.attempt(async () => {
      const { Sweep } = await import("./sweep.js");
      void app.dialogs.open(t("results.sweep"), Sweep, { items }, { wide: true });
    }) },
  );
  listenToDrops(app);
}
