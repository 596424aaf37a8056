// Graphs within the document: going into them and back, making one of a selection, taking one apart, sharing one as a file.
import { addNode, freeId, inGraph, put } from "../model/edit.js";
import { CALLED, calledBy, createCatalog } from "../model/catalog.js";
import { subgraphsOf, withSubgraphs } from "../model/clipboard.js";
import { freeName, graphAt, nodesOf } from "../model/graph.js";
import { ApiError } from "../server/api.js";
import { goTo } from "../tabs.js";
import { t } from "../text/index.js";
import { fitSoon, openWorkflow, placeOfWorkflow } from "./opening.js";

/** @import { App, Graph, Point, Tab, Workflow } from "../types.d.ts" */

/** The node that commands are about: the one that is selected, if it is one and runs a subgraph. @param {Tab | null} tab */
export function chosen(tab) {
  const ids = tab?.selection.value;
  const [id] = ids?.size === 1 ? ids : [];
  const entry = id === undefined ? undefined : nodesOf(/** @type {Tab} */ (tab).graph.value)[id];
  return tab && entry && calledBy(tab.store.json.value, entry) ? /** @type {string} */ (id) : "";
}

/** Look into the subgraph of a node; one that lies in a file opens as that. False where it has none. @param {App} app @param {Tab} tab @param {string} id */
export function enter(app, tab, id) {
  const entry = nodesOf(tab.graph.peek())[id];
  const scope = entry && calledBy(tab.store.json.peek(), entry);
  const { file, nodes } = graphAt(tab.store.json.peek(), scope);
  if (!scope || !nodes && !file) return false;
  if (file && !nodes) return app.toasts.attempt(() => openWorkflow(app, file.replace(/\.json$/, "")));
  if (!goTo(tab, [...tab.path.peek(), { node: id, scope }])) fitSoon(app);
  app.announce(t("subgraph.entered", { name: graphAt(tab.store.json.peek(), scope).title || scope }));
  return true;
}

/** Go back so that so many steps of the way remain; what was gone through is selected. @param {App} app @param {Tab} tab @param {number} depth */
export function leaveTo(app, tab, depth) {
  const gone = tab.path.peek()[depth];
  if (!gone) return;
  if (!goTo(tab, tab.path.peek().slice(0, depth))) fitSoon(app);
  tab.selection.value = new Set([gone.node]);
  app.canvas?.host.focus({ preventScroll: true });
}

/** Go where a change happened: the way that is looked at, or the first one that leads to its graph. @param {App} app @param {Tab} tab @param {string} scope */
export function showScope(app, tab, scope) {
  const json = tab.store.json.peek();
  const way = tab.path.peek();
  const intact = way.findIndex((step, index) => {
    const entry = nodesOf(graphAt(json, way[index - 1]?.scope ?? ""))[step.node];
    return !entry || calledBy(json, entry) !== step.scope;
  });
  const here = intact < 0 ? way : way.slice(0, intact);
  const to = (here.at(-1)?.scope ?? "") === scope ? here : wayTo(json, scope) ?? here;
  if (to !== way && !goTo(tab, to)) fitSoon(app);
}

/** @param {Workflow} json @param {string} scope @returns {{node: string, scope: string}[] | undefined} */
function wayTo(json, scope) {
  const open = [/** @type {{node: string, scope: string}[]} */ ([])];
  const seen = new Set([""]);
  for (const way of open) {
    const at = way.at(-1)?.scope ?? "";
    if (at === scope) return way;
    for (const [node, entry] of Object.entries(nodesOf(graphAt(json, at)))) {
      const name = calledBy(json, entry);
      if (!name || seen.has(name)) continue;
      seen.add(name);
      open.push([...way, { node, scope: name }]);
    }
  }
  return undefined;
}

/** A request that gives a changed document; where it is refused, every reason is shown. @param {App} app @param {() => Promise<void>} work */
async function refusable(app, work) {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ApiError) || !error.problems.length) throw error;
    await app.dialogs.confirm(t("subgraph.refused"), error.problems.map((one) => [one.message, one.hint].filter(Boolean).join(" ")).join("\n"));
  }
}

/** The selected nodes become a subgraph. @param {App} app @param {Tab} tab */
export async function extract(app, tab) {
  const nodes = [...tab.selection.peek()].filter((id) => id in nodesOf(tab.graph.peek()));
  const wish = await app.dialogs.ask(t("subgraph.name"), t("subgraph.some_name"));
  if (!wish?.trim()) return;
  const name = freeName(wish.trim().toLowerCase(), (one) => one in (tab.store.json.peek().subgraphs ?? {}));
  const scope = tab.scope.peek();
  await refusable(app, async () => {
    const before = tab.store.json.peek();
    const made = await app.api.post("/api/workflows/extract", { workflow: before, nodes, name, ...(scope ? { scope } : {}) });
    if (tab.store.json.peek() !== before) throw new Error(t("subgraph.changed"));
    const titled = inGraph(made.workflow, made.subgraph, (graph) => (wish.trim() === made.subgraph ? graph : { ...graph, title: wish.trim() }));
    tab.store.change(t("subgraph.extract"), () => titled, { scope });
    tab.selection.value = new Set([made.node]);
  });
}

/** A node becomes the nodes of its subgraph. @param {App} app @param {Tab} tab @param {string} node */
export const inline = (app, tab, node) => refusable(app, async () => {
  const before = tab.store.json.peek();
  const scope = tab.scope.peek();
  const made = await app.api.post("/api/workflows/inline", { workflow: before, node, ...(scope ? { scope } : {}) });
  if (tab.store.json.peek() !== before) throw new Error(t("subgraph.changed"));
  tab.store.change(t("subgraph.inline"), () => made.workflow, { scope });
  tab.selection.value = new Set(Object.values(made.nodes));
});

/** Give a subgraph another title. @param {App} app @param {Tab} tab @param {string} scope */
export async function retitle(app, tab, scope) {
  const title = await app.dialogs.ask(t("subgraph.name"), graphAt(tab.store.json.peek(), scope).title || scope);
  if (title?.trim()) tab.store.change(t("subgraph.rename"), (json) => inGraph(json, scope, (graph) => put(graph, "title", title.trim())), { scope: tab.scope.peek() });
}

/** @param {App} app @returns {Point} */
function middle(app) {
  const view = app.canvas?.view() ?? { x: 0, y: 0, width: 800, height: 600 };
  return [view.x + view.width / 2 - 115, view.y + view.height / 2 - 60];
}

/** A subgraph, and a node that runs it. @param {App} app @param {Tab} tab @param {string} wish @param {Graph} graph @param {Record<string, Graph>} [inner] */
function insert(app, tab, wish, graph, inner = {}) {
  const name = freeName(wish, (one) => one in (tab.store.json.peek().subgraphs ?? {}) || one in inner);
  const id = freeId(tab.graph.peek(), name);
  const { json: brought } = withSubgraphs(tab.store.json.peek(), { ...inner, [name]: graph });
  tab.store.change(t("subgraph.insert"), () => inGraph(brought, tab.scope.peek(), (now) => addNode(now, id, { type: CALLED + name }, middle(app))), { scope: tab.scope.peek() });
  tab.selection.value = new Set([id]);
  return id;
}

/** @param {App} app @param {Tab} tab */
export async function insertEmpty(app, tab) {
  const title = (await app.dialogs.ask(t("subgraph.name"), t("subgraph.some_name")))?.trim();
  if (title) enter(app, tab, insert(app, tab, title.toLowerCase(), { title, nodes: {}, interface: { inputs: {}, outputs: {} } }));
}

/** A saved workflow becomes a subgraph of this one. @param {App} app @param {Tab} tab */
export async function insertSaved(app, tab) {
  const { Gallery } = await import("./gallery.js");
  const row = await new Promise((resolve) => {
    app.dialogs.open(t("subgraph.insert_saved"), Gallery, { pick: resolve }, { wide: true }).then(() => resolve(undefined));
  });
  if (!row) return;
  const { workflow } = await app.api.get(placeOfWorkflow(row.id));
  const { nodegraph: _, id, subgraphs, ...graph } = workflow;
  insert(app, tab, id || row.id, graph, subgraphs);
}

/** A subgraph becomes a workflow file of its own, which this document and others can name. @param {App} app @param {Tab} tab @param {string} scope */
export async function publish(app, tab, scope) {
  const json = tab.store.json.peek();
  const graph = graphAt(json, scope);
  const subgraphs = subgraphsOf(json, Object.values(nodesOf(graph)));
  const workflow = { nodegraph: json.nodegraph, title: scope, ...graph, ...(Object.keys(subgraphs).length ? { subgraphs } : {}) };
  const { id } = await app.api.post("/api/workflows", { workflow });
  await learn(app, [`${id}.json`]);
  tab.store.change(t("subgraph.publish"), (now) => ({ ...now, subgraphs: { ...now.subgraphs, [scope]: { file: `${id}.json` } } }), { scope: tab.scope.peek() });
  app.toasts.show(t("subgraph.published", { id }));
}

/** Get the graphs that lie in files of their own, so that the sockets of their nodes are known. @param {App} app @param {string[]} files */
export async function learn(app, files) {
  const found = await Promise.all(files.map((file) => app.api.get(placeOfWorkflow(file.replace(/\.json$/, ""))).then((row) => [file, row.workflow], () => [file, null])));
  const { specOf: _specOf, color: _color, shape: _shape, ...data } = app.catalog.peek();
  app.catalog.value = createCatalog({ ...data, files: { ...data.files, ...Object.fromEntries(found) } });
}
