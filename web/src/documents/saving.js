// Saving, and what was saved from elsewhere meanwhile: nobody's work is overwritten, it is merged.
import { batch } from "@preact/signals";
import { ApiError } from "../server/api.js";
import { t } from "../text/index.js";
import { drop, send } from "./drafts.js";
import { placeOfWorkflow } from "./opening.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */

/** Saves that are under way: an event may tell of one before its answer is here. @type {Map<Tab, Promise<any>>} */
const saves = new Map();

/** @param {App} app @param {Tab} [given] @returns {Promise<boolean>} */
export async function save(app, given) {
  const tab = given ?? app.tabs.current.peek();
  if (!tab) return false;
  while (saves.has(tab)) await saves.get(tab)?.catch(() => {}); // pressed twice: the second time begins from what the first one saved
  const file = tab.file.peek();
  if (!file || tab.elsewhere.peek() === "gone") return saveAs(app, tab);
  const workflow = tab.store.json.peek();
  try {
    await writing(app, tab, app.api.put(placeOfWorkflow(file.id), { workflow, base: file.digest }), workflow);
  } catch (error) {
    if (!(error instanceof ApiError) || error.type !== "nodegraph:stale_revision") throw error;
    return meet(app, tab);
  }
  app.announce(t("documents.saved", { title: tab.title.peek() }));
  if (file.shipped) app.toasts.show(t("documents.copied", { title: tab.title.peek() }));
  return true;
}

/** Save under a new name. @param {App} app @param {Tab} [given] */
export async function saveAs(app, given) {
  const tab = given ?? app.tabs.current.peek();
  const title = tab && (await app.dialogs.ask(t("documents.name"), tab.store.json.peek().title || (tab.file.peek() ? tab.title.peek() : "")));
  if (!tab || !title?.trim()) return false;
  rename(tab, title.trim());
  const workflow = tab.store.json.peek();
  await writing(app, tab, app.api.post("/api/workflows", { workflow }), workflow);
  app.announce(t("documents.saved", { title }));
  return true;
}

/** @param {Tab} tab @param {string} title */
export const rename = (tab, title) => tab.store.change(t("documents.retitle"), (json) => (json.title === title ? json : { ...json, title }), { merge: "title" });

/** @param {App} app @param {Tab} tab @param {Promise<any>} request @param {Workflow} workflow */
async function writing(app, tab, request, workflow) {
  saves.set(tab, request);
  try {
    const saved = await request;
    batch(() => {
      tab.file.value = { id: saved.id, digest: saved.digest };
      tab.store.saved.value = workflow;
      tab.elsewhere.value = "";
    });
    if (saved.trouble) app.toasts.show(saved.trouble, "error");
  } finally {
    saves.delete(tab);
  }
}

/** What was saved from elsewhere comes together with what is here. What goes together is saved at once; the rest is asked. @param {App} app @param {Tab} tab
 * @returns {Promise<boolean>} */
export async function meet(app, tab) {
  const { id, digest } = /** @type {{id: string, digest: string}} */ (tab.file.peek());
  const theirs = await app.api.get(placeOfWorkflow(id));
  const base = tab.store.saved.peek() ?? (await revision(app, id, digest));
  const yours = tab.store.json.peek();
  const merged = await app.api.post("/api/workflows/merge", { base, yours, theirs: theirs.workflow });
  let result = merged.workflow;
  if (merged.conflicts.length) {
    const { ConflictBody } = await import("./conflict.js");
    result = await app.dialogs.open(t("conflict.title"), ConflictBody, { merged, base, yours, theirs: theirs.workflow }, { wide: true });
    if (!result) return false;
  }
  if (tab.store.json.peek() !== yours) return meet(app, tab); // one went on meanwhile
  tab.store.change(t("conflict.merge"), () => result);
  tab.file.value = { id, digest: theirs.digest };
  tab.store.saved.value = theirs.workflow;
  tab.elsewhere.value = "";
  if (!merged.conflicts.length) app.toasts.show(t("conflict.merged"));
  return save(app, tab);
}

/** A workflow as a revision has it. @param {App} app @param {string} id @param {string} name @returns {Promise<Workflow>} */
export async function revision(app, id, name) {
  const found = await app.api.get(`${placeOfWorkflow(id)}/revisions/${name}`);
  return (await app.api.post("/api/workflows/open", { workflow: JSON.parse(found.text) })).workflow;
}

/** Have what was saved from elsewhere instead; one undo step leads back. @param {App} app @param {Tab} tab */
export async function takeOver(app, tab) {
  const id = /** @type {{id: string}} */ (tab.file.peek()).id;
  const found = await app.api.get(placeOfWorkflow(id));
  tab.store.change(t("elsewhere.take"), () => found.workflow);
  tab.file.value = { id, digest: found.digest, shipped: found.shipped };
  tab.store.saved.value = found.workflow;
  tab.elsewhere.value = "";
}

/** Hear of saves of other tabs, windows and devices. @param {App} app */
export function hearOfSaves(app) {
  app.events.on(async (message) => {
    if (message.type !== "workflow_saved" && message.type !== "workflow_deleted") return;
    for (const tab of app.tabs.all.peek()) {
      if (tab.file.peek()?.id !== message.id) continue;
      await saves.get(tab)?.catch(() => {});
      tab.elsewhere.value = message.type === "workflow_deleted" ? "gone" : message.digest === tab.file.peek()?.digest ? "" : message.digest;
    }
  });
}

/** Close a tab; unsaved work is asked about first. @param {App} app @param {Tab} tab */
export async function close(app, tab) {
  if (tab.store.dirty.peek()) {
    const { CloseBody } = await import("./close.js");
    const answer = await app.dialogs.open(t("tabs.close", { title: tab.title.peek() }), CloseBody, { title: tab.title.peek() });
    if (!answer || answer === "save" && !(await app.toasts.attempt(() => save(app, tab)))) return;
    if (answer === "draft" && (await app.toasts.attempt(() => send(app, tab)))) return app.tabs.close(tab);
    if (answer === "draft") return;
  }
  app.tabs.close(tab);
  await drop(app, tab);
}
