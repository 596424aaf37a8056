// Links without a pointer: choose a socket of a node, then what it is to be linked to.
import { focusNode } from "../canvas/focus.js";
import { join } from "../canvas/wiring.js";
import { fittingEnds, typeAt } from "../model/connect.js";
import { disconnect } from "../model/edit.js";
import { edgesInto, edgesOf, nodesOf, titleOf } from "../model/graph.js";
import { moveLink } from "../model/rewire.js";
import { typeText } from "../model/types.js";
import { t } from "../text/index.js";
import { choiceOf, insert, typesFitting } from "./insert.js";
import { having, pick } from "./pick.js";

/** @import { App, Edge, End, Point } from "../types.d.ts" */
/** @import { Choice } from "./pick.js" */

/** The links at an end. @param {App} app @param {End} end @returns {Edge[]} */
export function linksAt(app, end) {
  const graph = app.tabs.current.peek()?.graph.peek() ?? {};
  const entry = nodesOf(graph)[end.node];
  return end.side === "input" ? (entry ? edgesInto(end.node, entry).filter((edge) => edge.input === end.socket) : [])
    : edgesOf(graph).filter((edge) => edge.source === end.node && edge.output === end.socket);
}

/** @param {End} end @param {Edge} edge */
const otherEnd = (end, edge) => (end.side === "input" ? `${edge.source}.${edge.output}` : `${edge.target}.${edge.input}`);

/** A list of a node's sockets. @param {App} app @param {string} id */
export function connectNode(app, id) {
  const tab = app.tabs.current.peek();
  const entry = tab && nodesOf(tab.graph.peek())[id];
  if (!tab || !entry) return;
  const spec = app.catalog.peek().specOf(tab.store.json.peek(), entry);
  const ends = /** @type {{end: End, title: string}[]} */ ([
    ...spec.inputs.map((one) => ({ end: { node: id, socket: one.name, side: "input" }, title: one.title })),
    ...spec.outputs.map((one) => ({ end: { node: id, socket: one.name, side: "output" }, title: one.name })),
  ]);
  const choices = ends.map(({ end, title }) => {
    const type = typeAt(app.catalog.peek(), tab.store.json.peek(), tab.scope.peek(), end);
    const links = linksAt(app, end).map((edge) => otherEnd(end, edge)).join(", ");
    return { key: `${end.side} ${end.socket}`, title: t(`connect.${end.side}`, { title }), about: `${type ? typeText(type) : ""}${links && ` · ${links}`}`, types: type && [type],
      run: () => connectSocket(app, end) };
  });
  return pick(app, t("connect.which", { title: titleOf(tab.graph.peek(), id, spec) }), having(choices));
}

/** What a socket can be linked to: sockets that are there, the nearest first, then types of nodes to add. Its links can be taken out here, too. After a "+" only types are meant.
 * @param {App} app @param {End} end @param {Point} [at] Where the list opens, on the page. @param {boolean} [stays] The focus stays where it is. */
export function connectSocket(app, end, at, stays = false) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  const [catalog, json, scope] = [app.catalog.peek(), tab.store.json.peek(), tab.scope.peek()];
  const graph = tab.graph.peek();
  const name = (/** @type {string} */ id) => titleOf(graph, id, catalog.specOf(json, nodesOf(graph)[id]));
  const back = (/** @type {() => void} */ work) => () => (work(), stays || focusNode(app, end.node));
  const links = linksAt(app, end);
  const now = links.flatMap((edge) => {
    const other = otherEnd(end, edge);
    const out = { key: `cut ${edge.key}`, title: t("connect.cut", { other }), run: back(() => cut(app, edge)) };
    const earlier = { key: `up ${edge.key}`, title: t("connect.earlier", { other }), run: back(() => reorder(app, edge, -1)) };
    return end.side === "input" && edge.index > 0 ? [out, earlier] : [out];
  });
  const there = fittingEnds(catalog, json, scope, end).filter((other) => !links.some((edge) => otherEnd(end, edge) === `${other.node}.${other.socket}`)).map((other) => ({
    key: `${other.node}.${other.socket}`, title: `${name(other.node)}: ${other.socket}`, about: other.node,
    types: [typeAt(catalog, json, scope, other) ?? { var: "" }], run: back(() => void join(app, tab, end, other)),
  }));
  const fitting = typesFitting(app, tab, { end });
  const found = having([...now, ...there]);
  return pick(app, t("connect.to", { socket: `${end.node}.${end.socket}` }), (text) => [...(text.startsWith("+") ? [] : found(text)), ...fitting(text.replace(/^\+\s*/, "")).map((spec) =>
    ({ ...choiceOf(spec, () => insert(app, spec, { end }, stays)), key: `add ${spec.id}`, title: t("palette.add", { title: spec.title }) }))], { at });
}

/** @param {App} app @param {Edge} edge */
export function cut(app, edge) {
  app.tabs.edit(t("connect.unlink", { input: edge.input }), (graph) => disconnect(graph, edge.target, edge.input, `${edge.source}.${edge.output}`));
  app.announce(t("connect.was_cut", { input: `${edge.target}.${edge.input}` }));
}

/** @param {App} app @param {Edge} edge @param {number} by */
export const reorder = (app, edge, by) => app.tabs.edit(t("link.reorder"), (graph) => moveLink(graph, edge, by));
