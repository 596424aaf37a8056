// Documents: opening, closing, saving, undoing.
import { blankWorkflow, createTab } from "../tabs.js";
import { t } from "../text/index.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  const store = () => app.tabs.current.value?.store;
  app.commands.add(
    { id: "document.new", title: "tabs.new", keys: ["Ctrl+Alt+N"], group: "document", run: () => app.tabs.open(createTab(blankWorkflow())) },
    { id: "document.close", title: "close", group: "document", hidden: true, run: (/** @type {Tab} */ tab) => app.tabs.close(tab) },
    { id: "document.save", title: "save", keys: ["Ctrl+S"], group: "document", when: () => app.tabs.current.value !== null, run: () => app.toasts.attempt(() => save(app)) },
    { id: "edit.undo", title: "command.undo", keys: ["Ctrl+Z"], group: "edit", when: () => (store()?.history.value.undo.length ?? 0) > 0, run: () => step(app, "undo") },
    { id: "edit.redo", title: "command.redo", keys: ["Shift+Ctrl+Z", "Ctrl+Y"], group: "edit", when: () => (store()?.history.value.redo.length ?? 0) > 0, run: () => step(app, "redo") },
  );
}

/** @param {App} app @param {"undo" | "redo"} way */
function step(app, way) {
  const entry = app.tabs.current.peek()?.store[way]();
  if (entry) app.announce(t(way === "undo" ? "undone" : "redone", { label: entry.label }));
}

/** Open a saved workflow in a tab of its own. @param {App} app @param {string} id */
export async function openWorkflow(app, id) {
  const found = await app.api.get(`/api/workflows/${encodeURIComponent(id)}`);
  const tab = createTab(found.workflow, { file: { id, digest: found.digest, shipped: found.shipped } });
  tab.problems.value = found.problems ?? [];
  tab.wants.value = found.wants ?? [];
  return app.tabs.open(tab);
}

/** Open a saved workflow by its id, or a document as it is. @param {App} app @param {string | Workflow} given */
export const openAny = async (app, given) => void (typeof given === "string" ? await openWorkflow(app, given) : app.tabs.open(createTab(given)));

/** What is open at the start. @param {App} app */
export async function begin(app) {
  await openWorkflow(app, "text_to_image");
  app.canvas?.fit();
}

/** @param {App} app */
async function save(app) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const file = tab.file.peek();
  const workflow = tab.store.json.peek();
  const saved = file
    ? await app.api.put(`/api/workflows/${encodeURIComponent(file.id)}`, { workflow, base: file.digest })
    : await app.api.post("/api/workflows", { workflow });
  tab.file.value = { id: saved.id ?? file?.id, digest: saved.digest };
  tab.store.saved.value = workflow;
}
