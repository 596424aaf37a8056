// What can be done with nodes and links that are there: switch off, swap, take out, rename, insert. Each is a command.
import { focusNode, currentNode } from "../canvas/focus.js";
import { connectNode, connectSocket, cut, linksAt, reorder } from "./connecting.js";
import { renameNode, setDisabled } from "../model/edit.js";
import { nodesOf } from "../model/graph.js";
import { addDot } from "../model/reroutes.js";
import { closeGap, offText, passesOn, swapped } from "../model/rewire.js";
import { ranked } from "../model/search.js";
import { t } from "../text/index.js";
import { choiceOf, openPalette, screenOf, typesFor } from "./insert.js";
import { pick } from "./pick.js";

/** @import { App, Command, Edge, Tab } from "../types.d.ts" */
/** @import { Target } from "./menu.js" */

const ID = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** @param {App} app @returns {Command[]} */
export function changingCommands(app) {
  const when = () => currentNode(app) !== "";
  const node = (/** @type {string} */ id, /** @type {string[]} */ keys, /** @type {(id: string) => unknown} */ run, /** @type {Partial<Command>} */ more = {}) =>
    ({ id: `node.${id}`, title: `node.${id}`, keys, context: /** @type {const} */ ("canvas"), group: "node", when, run: () => run(currentNode(app)), ...more });
  const link = (/** @type {string} */ id, /** @type {(target: Target & {edge: Edge}) => unknown} */ run, /** @type {(edge: Edge) => boolean} */ fits = () => true) =>
    ({ id: `link.${id}`, title: `link.${id}`, group: "link", hidden: true, run, when: (/** @type {Target} */ target) => Boolean(target?.edge && fits(target.edge)) });
  const count = (/** @type {Edge} */ edge) => linksAt(app, { node: edge.target, socket: edge.input, side: "input" }).length;
  const socket = (/** @type {string} */ id, /** @type {Command["run"]} */ run, /** @type {(target: Target) => boolean} */ fits = () => true) =>
    ({ id: `socket.${id}`, title: `socket.${id}`, group: "socket", hidden: true, run, when: (/** @type {Target} */ target) => Boolean(target?.end && fits(target)) });
  return [
    node("connect", ["C"], (id) => connectNode(app, id)),
    node("add_after", ["A"], (id) => addAfter(app, id)),
    node("disable", ["M"], () => toggle(app), { about: () => previewOf(app, currentNode(app)) }),
    node("swap", [], (id) => swap(app, id)),
    node("close_gap", ["Ctrl+Delete", "Ctrl+Backspace"], (id) => withoutGap(app, id)),
    node("rename_id", ["Shift+F2"], (id) => renameId(app, id)),
    link("insert", ({ edge, at }) => openPalette(app, { edge, at })),
    link("cut", ({ edge }) => cut(app, edge)),
    link("dot", ({ edge, at, part = 0 }) => at && app.tabs.edit(t("link.dot"), (graph) => addDot(graph, edge.key, part, at))),
    link("earlier", ({ edge }) => reorder(app, edge, -1), (edge) => edge.index > 0),
    link("later", ({ edge }) => reorder(app, edge, 1), (edge) => edge.index < count(edge) - 1),
    socket("connect", ({ end, at }) => connectSocket(app, end, screenOf(app, at))),
    socket("cut", ({ end }) => linksAt(app, end).forEach((edge) => cut(app, edge)), ({ end }) => end !== undefined && linksAt(app, end).length > 0),
  ];
}

/** @param {App} app @returns {Tab} */
const tabOf = (app) => /** @type {Tab} */ (app.tabs.current.peek());

/** @param {App} app @param {string} id */
function addAfter(app, id) {
  const tab = tabOf(app);
  const [output] = app.catalog.peek().specOf(tab.store.json.peek(), nodesOf(tab.graph.peek())[id]).outputs;
  return openPalette(app, output ? { end: { node: id, socket: output.name, side: "output" } } : {});
}

/** @param {App} app @param {string} id */
const previewOf = (app, id) => offText(app.catalog.peek(), tabOf(app).store.json.peek(), tabOf(app).graph.peek(), id);

/** @param {App} app */
function toggle(app) {
  const tab = tabOf(app);
  const selected = [...tab.selection.peek()].filter((id) => id in nodesOf(tab.graph.peek()));
  const ids = selected.length ? selected : [currentNode(app)];
  const off = !ids.every((id) => nodesOf(tab.graph.peek())[id]?.disabled);
  app.tabs.edit(t("node.disable"), (graph) => setDisabled(graph, ids, off));
  app.announce(off ? `${t("node.off")}: ${previewOf(app, ids[0])}` : t("node.on"));
}

/** Offer the types that keep something of a node's links, those that keep most first. @param {App} app @param {string} id */
function swap(app, id) {
  const tab = tabOf(app);
  const given = /** @type {const} */ ([app.catalog.peek(), tab.store.json.peek(), tab.graph.peek(), id]);
  const entry = nodesOf(tab.graph.peek())[id];
  const old = app.catalog.peek().specOf(tab.store.json.peek(), entry);
  const rows = new Map(typesFor(app, tab).filter((spec) => spec.id !== old.id).map((spec) => [spec, swapped(...given, spec)]));
  const near = (/** @type {import("../types.d.ts").NodeSpec} */ spec) => (rows.get(spec)?.kept ?? 0) * 10 - (rows.get(spec)?.lost.length ?? 0) * 3 + Number(spec.category === old.category);
  const specs = [...rows.keys()].filter((spec) => near(spec) > 0).sort((a, b) => near(b) - near(a));
  return pick(app, t("node.swap"), (text) => (text ? ranked(specs, text) : specs).map((spec) => {
    const lost = rows.get(spec)?.lost ?? [];
    return { ...choiceOf(spec, () => {
      app.tabs.edit(t("node.swap"), (graph) => swapped(app.catalog.peek(), tab.store.json.peek(), graph, id, spec).graph);
      app.announce(t("node.swapped", { title: spec.title }));
      focusNode(app, id);
    }), about: lost.length ? t("node.loses", { names: lost.join(", ") }) : t("node.keeps_all") };
  }));
}

/** @param {App} app @param {string} id */
function withoutGap(app, id) {
  const tab = tabOf(app);
  const [next] = new Set(passesOn(app.catalog.peek(), tab.store.json.peek(), tab.graph.peek(), id).values());
  app.tabs.edit(t("node.close_gap"), (graph) => closeGap(app.catalog.peek(), tab.store.json.peek(), graph, id));
  tab.selection.value = new Set();
  app.announce(t("canvas.deleted", { count: 1 }));
  if (next) focusNode(app, next.split(".")[0]);
  else app.canvas?.host.focus({ preventScroll: true });
}

/** @param {App} app @param {string} id */
async function renameId(app, id) {
  const tab = tabOf(app);
  let wish = id;
  for (;;) {
    const given = await app.dialogs.ask(t("node.rename_id"), wish);
    if (given === undefined || (wish = given.trim()) === id) return;
    const taken = wish in nodesOf(tab.graph.peek());
    if (!taken && ID.test(wish)) break;
    app.toasts.show(t(taken ? "node.id_taken" : "node.id_wrong", { id: wish }), "error");
  }
  app.tabs.edit(t("node.rename_id"), (graph) => renameNode(graph, id, wish));
  focusNode(app, wish);
}
