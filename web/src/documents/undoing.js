// Undo and redo as people see them: one looks where the change was, and what it changed is selected. Runs are left alone.
import { decorationsOf, graphAt, layoutOf, nodesOf } from "../model/graph.js";
import { t } from "../text/index.js";
import { showScope } from "./subgraphs.js";

/** @import { App, Graph, HistoryEntry, Tab } from "../types.d.ts" */

/** @param {App} app @param {"undo" | "redo"} way */
export function step(app, way) {
  const tab = app.tabs.current.peek();
  const entry = tab?.store[way]();
  if (!tab || !entry) return;
  shown(app, tab, entry);
  app.announce(t(way === "undo" ? "undone" : "redone", { label: entry.label }));
}

/** Go to the state after so many changes. @param {App} app @param {Tab} tab @param {number} count */
export function stepTo(app, tab, count) {
  let last = /** @type {HistoryEntry | null} */ (null);
  for (let now = tab.store.history.peek().undo.length; now !== count; now += now < count ? 1 : -1) last = tab.store[now < count ? "redo" : "undo"]();
  if (last) shown(app, tab, last);
}

/** @param {App} app @param {Tab} tab @param {HistoryEntry} entry */
function shown(app, tab, entry) {
  showScope(app, tab, entry.scope);
  const [a, b] = [entry.before, entry.after].map((json) => parts(graphAt(json, entry.scope)));
  const now = parts(tab.graph.peek());
  const changed = tab.scope.peek() === entry.scope ? [...now.keys()].filter((id) => a.get(id) !== b.get(id)) : [];
  tab.selection.value = new Set(changed.length && changed.length < now.size ? changed : [...tab.selection.peek()].filter((id) => now.has(id)));
}

/** What each item of a graph is, in a form that can be compared. @param {Graph} graph @returns {Map<string, string>} */
function parts(graph) {
  const { nodes = {}, widths = {}, titles = {} } = layoutOf(graph);
  const text = (/** @type {any} */ ...all) => JSON.stringify(all);
  return new Map([
    ...Object.entries(nodesOf(graph)).map(([id, entry]) => /** @type {[string, string]} */ ([id, text(entry, nodes[id], widths[id], titles[id])])),
    ...[...decorationsOf(graph, "frames"), ...decorationsOf(graph, "notes")].map((one) => /** @type {[string, string]} */ ([one.id, text(one)])),
  ]);
}
