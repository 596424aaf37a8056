// Painting masks and sketches, and taking or refusing what an inpainting gave. The editor itself comes on first use.
import { t } from "../text/index.js";
import { inpaintingOf } from "./inpainting.js";

/** @import { App } from "../types.d.ts" */
/** @import { Staged } from "./staging.js" */

/** @type {Promise<typeof import("./opening.js")> | undefined} */
let editor;

function load() {
  if (!editor) {
    const sheet = new URL("../../styles/tools.css", import.meta.url).href;
    document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: sheet }));
    editor = import("./opening.js");
  }
  return editor;
}

/** @param {App} app */
export function install(app) {
  /** What the last inpainting gave, until it is taken or its picture is another. @type {Staged | null} */
  let staged = null;
  const look = async () => {
    const now = staged;
    await load();
    if (now) await (await import("./staging.js")).stage(app, now);
  };
  const isStaged = () => staged !== null && staged.tab === app.tabs.current.value && staged.tab.store.json.value.nodes?.[staged.node]?.inputs?.path === staged.before;
  app.commands.add(
    { id: "mask.edit", title: "mask.paint", group: "edit", run: async (given) => (await load()).editMask(app, plain(given)) },
    { id: "sketch.edit", title: "sketch.paint", group: "edit", run: async (given) => (await load()).editSketch(app, plain(given)) },
    { id: "mask.stage", title: "stage.look", group: "run", when: isStaged, run: look },
  );
  app.runs.onEnd((job) => {
    const { state, client } = job.row.peek();
    const tab = app.tabs.all.peek().find((one) => one.key === client || one.job.peek() === job.id);
    const after = Object.values(job.outputs.peek()).flat().find((row) => row.media_type?.startsWith("image/"))?.url;
    if (state !== "succeeded" || !tab || !after) return;
    const json = tab.store.json.peek();
    const found = inpaintingOf(app.catalog.peek(), json, json);
    if (!found?.mask.file) return;
    staged = { tab, node: found.picture.node, before: found.picture.file, after };
    if (tab === app.tabs.current.peek()) app.toasts.show(t("stage.ready"), "info", { title: t("stage.look"), run: look });
  });
}

/** What code hands over, not what a key does. @param {any} given */
const plain = (given) => (given instanceof Event ? {} : given);
