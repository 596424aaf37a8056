// The documents that are open. A tab is a document, what is looked at in it, and the job whose states it shows.
import { batch, computed, signal } from "@preact/signals";
import { inGraph } from "./model/edit.js";
import { graphAt } from "./model/graph.js";
import { freshId } from "./model/ids.js";
import { createStore } from "./model/store.js";
import { t } from "./text/index.js";

/** @import { Graph, Tab, Workflow } from "./types.d.ts" */
/** @typedef {{kind: string, name: string}} Want */
/** @import { Signal } from "@preact/signals" */
/** @typedef {ReturnType<typeof createTabs>} Tabs */

/** A new document. @param {string} [title] @returns {Workflow} */
export const blankWorkflow = (title = "") => ({ nodegraph: 1, id: freshId(8), title, nodes: {} });

/** @param {Workflow} json @param {{key?: string, file?: {id: string, digest: string, shipped?: boolean} | null, saved?: Workflow | null}} [given] @returns {Tab} */
export function createTab(json, { key = freshId(), file = null, saved = json } = {}) {
  const store = createStore(json, saved);
  const savedAs = signal(file);
  const path = signal(/** @type {{node: string, scope: string}[]} */ ([]));
  const scope = computed(() => path.value.at(-1)?.scope ?? "");
  return {
    key,
    store,
    file: savedAs,
    path,
    scope,
    graph: computed(() => graphAt(store.json.value, scope.value)),
    selection: signal(/** @type {ReadonlySet<string>} */ (new Set())),
    camera: signal({ x: -40, y: -40, zoom: 1 }),
    cameras: new Map(),
    kept: signal(""),
    drafted: false,
    elsewhere: signal(""),
    job: signal(""),
    problems: signal([]),
    wants: signal([]),
    accepted: signal([]),
    forecast: signal(null),
    title: computed(() => store.json.value.title || savedAs.value?.id || t("untitled")),
  };
}

/** What a document wants beyond computing and nobody accepted in this tab, each once. @param {Tab} tab @returns {Want[]} */
export function missing(tab) {
  const seen = new Set(tab.accepted.value.map(({ kind, name }) => `${kind} ${name}`));
  return tab.wants.value.filter(({ kind, name }) => !seen.has(`${kind} ${name}`) && seen.add(`${kind} ${name}`)).map(({ kind, name }) => ({ kind, name }));
}

/** What a person accepted, or chose by hand in this tab, is not asked for again. @param {Tab} tab @param {...Want} wants */
export const accept = (tab, ...wants) => void (tab.accepted.value = [...tab.accepted.peek(), ...wants]);

export function createTabs() {
  const all = signal(/** @type {Tab[]} */ ([]));
  const current = /** @type {Signal<Tab | null>} */ (signal(null));
  return {
    all,
    current,
    /** @param {Tab} tab */
    open(tab) {
      all.value = [...all.peek(), tab];
      current.value = tab;
      return tab;
    },
    /** @param {Tab} tab */
    close(tab) {
      const place = all.peek().indexOf(tab);
      all.value = all.peek().filter((one) => one !== tab);
      if (current.peek() === tab) current.value = all.peek()[Math.min(place, all.peek().length - 1)] ?? null;
    },
    /** Move a tab by so many places. @param {Tab} tab @param {number} by */
    move(tab, by) {
      const others = all.peek().filter((one) => one !== tab);
      const place = Math.max(0, Math.min(others.length, all.peek().indexOf(tab) + by));
      all.value = others.toSpliced(place, 0, tab);
    },
    /** Change the document that is looked at; `recipe` works on the graph that is. @param {string} label
     * @param {(graph: Graph) => Graph} recipe @param {{merge?: string}} [options] */
    edit(label, recipe, options) {
      const tab = current.peek();
      return tab ? editGraph(tab, label, recipe, options) : false;
    },
  };
}

/** Look at another graph of a document; the camera goes back to where it was there. Says whether it had been anywhere.
 * @param {Tab} tab @param {{node: string, scope: string}[]} path */
export function goTo(tab, path) {
  const scope = path.at(-1)?.scope ?? "";
  if (scope === tab.scope.peek()) {
    tab.path.value = path;
    return true;
  }
  tab.cameras.set(tab.scope.peek(), tab.camera.peek());
  batch(() => {
    tab.selection.value = new Set();
    tab.path.value = path;
    tab.camera.value = tab.cameras.get(scope) ?? tab.camera.peek();
  });
  return tab.cameras.has(scope);
}

/** Change the graph that a tab looks at. @param {Tab} tab @param {string} label
 * @param {(graph: Graph) => Graph} recipe @param {{merge?: string}} [options] */
export function editGraph(tab, label, recipe, options = {}) {
  const scope = tab.scope.peek();
  return tab.store.change(label, (json) => inGraph(json, scope, recipe), { ...options, scope });
}

/** The way of a node in a run: the nodes gone through, then the node itself. @param {Tab} tab @param {string} id */
export const runPath = (tab, id) => [...tab.path.value.map((step) => step.node), id].join("/");
