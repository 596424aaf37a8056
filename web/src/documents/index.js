// Documents: opening, closing, saving, undoing, and the graphs within them.
import { effect } from "@preact/signals";
import { copyText } from "../copying.js";
import { arranged } from "../model/layout.js";
import { blankWorkflow, createTab, editGraph } from "../tabs.js";
import { t } from "../text/index.js";
import { installClipboard } from "./clipboard.js";
import { keepDrafts } from "./drafts.js";
import { later } from "../panels/later.js";
import { chooseFile, download, fitSoon, openFile, openOutside, openWorkflow } from "./opening.js";
import { close, hearOfSaves, rename, save, saveAs } from "./saving.js";
import { beginSession, createSession } from "./session.js";
import { chosen, enter, extract, inline, insertEmpty, insertSaved, leaveTo, learn, publish, retitle } from "./subgraphs.js";
import { step } from "./undoing.js";

/** @import { App, Command, Tab, Workflow } from "../types.d.ts" */
export { openFile, openOutside, openWorkflow };

/** @param {App} app */
export function install(app) {
  const tab = () => app.tabs.current.value;
  const some = () => tab() !== null;
  const history = () => tab()?.store.history.value;
  /** A command on the tab that is looked at. @param {string} id @param {string} title @param {(tab: Tab) => any} work @param {Partial<Command>} [more] @returns {Command} */
  const on = (id, title, work, more = {}) => ({
    id, title, group: "document", when: some, ...more, run: () => app.toasts.attempt(async () => work(/** @type {Tab} */ (tab()))),
  });
  /** One on the subgraph whose node is selected. @param {string} id @param {(tab: Tab, node: string) => any} work @param {Partial<Command>} [more] */
  const onCall = (id, work, more = {}) => on(id, id, (now) => work(now, chosen(now)), { group: "node", when: () => chosen(tab()) !== "", ...more });
  const scopeOf = (/** @type {Tab} */ now, /** @type {string} */ node) => {
    const entry = now.graph.peek().nodes?.[node];
    return entry?.type.startsWith("subgraph/") ? entry.type.slice(9) : entry?.inputs?.body;
  };
  app.commands.add(
    { id: "document.new", title: "tabs.new", keys: ["Ctrl+Alt+N"], group: "document", run: () => app.tabs.open(createTab(blankWorkflow())) },
    { id: "document.open", title: "documents.open", keys: ["Ctrl+O"], group: "document", run: () => openDialog(app) },
    { id: "document.open_file", title: "documents.from_file", group: "document", run: () => chooseFile(app) },
    on("document.save", "save", () => save(app), { keys: ["Ctrl+S"] }),
    on("document.save_as", "documents.save_as", () => saveAs(app), { keys: ["Shift+Ctrl+S"] }),
    on("document.rename", "documents.rename", async (now) => {
      const title = await app.dialogs.ask(t("documents.name"), now.title.peek());
      if (title?.trim()) rename(now, title.trim());
    }),
    { id: "document.close", title: "documents.close", keys: ["Ctrl+Alt+W"], group: "document", when: some, run: (given) => close(app, given?.store ? given : /** @type {Tab} */ (tab())) },
    { id: "document.next", title: "tabs.next", keys: ["Ctrl+Alt+PageDown", "Alt+PageDown"], group: "document", when: some, run: () => turn(app, 1) },
    { id: "document.previous", title: "tabs.previous", keys: ["Ctrl+Alt+PageUp", "Alt+PageUp"], group: "document", when: some, run: () => turn(app, -1) },
    on("document.download", "documents.download", (now) => download(`${now.title.peek()}.json`, JSON.stringify(now.store.json.peek(), null, 2), "application/json")),
    on("document.python", "documents.python", async (now) => {
      download(`${now.title.peek()}.py`, await app.api.post("/api/workflows/export", { workflow: now.store.json.peek() }), "text/x-python");
    }),
    on("document.curl", "documents.curl", async (now) => {
      await copyText(app, curl(now), t("documents.curl_copied"));
    }),
    { id: "edit.undo", title: "command.undo", keys: ["Ctrl+Z"], group: "edit", when: () => (history()?.undo.length ?? 0) > 0, run: () => step(app, "undo") },
    { id: "edit.redo", title: "command.redo", keys: ["Shift+Ctrl+Z", "Ctrl+Y"], group: "edit", when: () => (history()?.redo.length ?? 0) > 0, run: () => step(app, "redo") },
    on("edit.arrange", "edit.arrange", (now) => {
      const [json, ids] = [now.store.json.peek(), now.selection.peek()];
      editGraph(now, t("edit.arrange"), (graph) => arranged(app.catalog.peek(), json, graph, ids.size > 1 ? ids : undefined));
      if (ids.size < 2) fitSoon(app);
    }, { group: "edit", keys: ["Shift+L"], context: "canvas" }),
    on("subgraph.extract", "subgraph.extract", (now) => extract(app, now), { group: "node", keys: ["Ctrl+Alt+E"], context: "canvas", when: () => (tab()?.selection.value.size ?? 0) > 0 }),
    onCall("subgraph.enter", (now, node) => enter(app, now, node), { keys: ["Ctrl+ArrowDown"], context: "canvas" }),
    on("subgraph.leave", "subgraph.leave", (now) => leaveTo(app, now, now.path.peek().length - 1), { group: "view", keys: ["Ctrl+ArrowUp"], context: "canvas", when: () => (tab()?.path.value.length ?? 0) > 0 }),
    { ...on("subgraph.leave_at_rest", "subgraph.leave", (now) => leaveTo(app, now, now.path.peek().length - 1)), keys: ["Escape"], context: "canvas", hidden: true,
      when: () => (tab()?.path.value.length ?? 0) > 0 && tab()?.selection.value.size === 0 },
    onCall("subgraph.inline", (now, node) => inline(app, now, node)),
    onCall("subgraph.rename", (now, node) => retitle(app, now, scopeOf(now, node))),
    onCall("subgraph.publish", (now, node) => publish(app, now, scopeOf(now, node))),
    on("subgraph.insert", "subgraph.insert", (now) => insertEmpty(app, now), { group: "insert" }),
    on("subgraph.insert_saved", "subgraph.insert_saved", (now) => insertSaved(app, now), { group: "insert" }),
  );
  app.panels.add({ id: "history", title: "history.title", side: "right", icon: "history", order: 60, component: later(() => import("./history.js"), "History") });
  installClipboard(app);
  keepDrafts(app);
  hearOfSaves(app);
  effect(() => { // the sockets of subgraphs that lie in files
    const named = Object.values(app.tabs.current.value?.store.json.value.subgraphs ?? {}).flatMap((graph) => (graph.file && !graph.nodes ? [graph.file] : []));
    const missing = named.filter((file) => app.catalog.peek().files?.[file] === undefined);
    if (missing.length) learn(app, missing);
  });
}

/** @param {App} app @param {number} by */
function turn(app, by) {
  const tabs = app.tabs.all.peek();
  const place = tabs.indexOf(/** @type {Tab} */ (app.tabs.current.peek()));
  app.tabs.current.value = tabs[(place + by + tabs.length) % tabs.length];
}

/** @param {App} app */
async function openDialog(app) {
  const { Gallery } = await import("./gallery.js");
  return app.dialogs.open(t("documents.open"), Gallery, {}, { wide: true });
}

/** The command that runs a document over the API. @param {Tab} tab */
function curl(tab) {
  const file = tab.store.dirty.peek() ? null : tab.file.peek();
  const body = JSON.stringify(file ? { workflow_id: file.id } : { workflow: tab.store.json.peek() });
  return `curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '${body.replaceAll("'", "'\\''")}' ${location.origin}/api/jobs`;
}

/** Open a saved workflow by its id, or a document as it is, in a tab of its own. @param {App} app @param {string | Workflow} given */
export const openAny = async (app, given) => void (typeof given === "string" ? await openWorkflow(app, given, { again: true }) : app.tabs.open(createTab(given)));

/** What is open at the start. @param {App} app */
export async function begin(app) {
  const session = createSession(app);
  app.otherWindows = session.others;
  await beginSession(app, session);
}
