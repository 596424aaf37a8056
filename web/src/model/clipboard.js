// What is copied, as a small document: nodes, the links among them, their layout, frames, notes, and the subgraphs that they run.
// Being a document, it can be pasted into another window, a mail or a file, and opened.

/** @import { Graph, Layout, NodeEntry, Point, Scope, Workflow } from "../types.d.ts" */
/** `links` are those of the copied nodes, with the ones that come from outside.
 * @typedef {Workflow & {clipping: {of: string, scope: Scope, links: Record<string, Record<string, string | string[]>>}}} Clipping */
import { inGraph } from "./edit.js";
import { CALLED, calledBy } from "./catalog.js";
import { decorationsOf, freeName, graphAt, isRecord, layoutOf, nodesOf, own, placeOf } from "./graph.js";

const idOf = (/** @type {string} */ reference) => reference.split(".", 1)[0];

/** A record with other names; those that `rename` gives "" for are left out. @param {Record<string, any> | undefined} record
 * @param {(name: string) => string} rename @returns {any} */
const named = (record, rename) =>
  record && Object.fromEntries(Object.entries(record).map(([name, value]) => [rename(name), value]).filter(([name]) => name));

/** @param {Record<string, string | string[]> | undefined} links @param {(reference: string) => string} lead "" where the link is left out. */
function linksThrough(links, lead) {
  const made = Object.entries(links ?? {}).map(([input, from]) => [input, Array.isArray(from) ? from.map(lead).filter(Boolean) : lead(from)]);
  return Object.fromEntries(made.filter(([, from]) => from.length));
}

const decorated = (/** @type {Graph} */ graph) => [...decorationsOf(graph, "frames"), ...decorationsOf(graph, "notes")];

/** A graph's layout under other ids: what `rename` gives "" for stays behind. @param {Graph} graph @param {(id: string) => string} rename @returns {Layout} */
function layoutThrough(graph, rename) {
  const layout = layoutOf(graph);
  const led = (/** @type {string} */ reference) => (rename(idOf(reference)) ? rename(idOf(reference)) + reference.slice(idOf(reference).length) : "");
  /** @type {Layout} */
  const made = {};
  for (const part of ["nodes", "widths", "titles"]) if (layout[part]) made[part] = named(layout[part], rename);
  if (layout.seeds) made.seeds = named(layout.seeds, led);
  if (layout.reroutes) made.reroutes = named(layout.reroutes, (key) => (key.split(">").every(led) ? key.split(">").map(led).join(">") : ""));
  if (layout.collapsed) made.collapsed = layout.collapsed.map(rename).filter(Boolean);
  for (const part of /** @type {const} */ (["frames", "notes"])) {
    const kept = decorationsOf(graph, part).filter((one) => rename(one.id)).map((one) => ({ ...one, id: rename(one.id) }));
    if (kept.length) made[part] = kept;
  }
  return made;
}

/** The subgraphs that nodes run, and those inside them. @param {Workflow} json @param {Iterable<NodeEntry>} entries */
export function subgraphsOf(json, entries) {
  const open = [...entries];
  /** @type {Record<string, Graph>} */
  const found = {};
  for (let entry = open.pop(); entry; entry = open.pop()) {
    const name = calledBy(json, entry);
    if (!name || own(found, name)) continue;
    found[name] = graphAt(json, name);
    open.push(...Object.values(nodesOf(found[name])));
  }
  return found;
}

/** @param {Workflow} json @param {Scope} scope @param {ReadonlySet<string>} ids @returns {Clipping} */
export function copy(json, scope, ids) {
  const graph = graphAt(json, scope);
  const chosen = Object.entries(nodesOf(graph)).filter(([id]) => ids.has(id));
  const inside = new Set(chosen.map(([id]) => id));
  const nodes = Object.fromEntries(chosen.map(([id, { links, ...entry }]) => {
    const kept = linksThrough(links, (reference) => (inside.has(idOf(reference)) ? reference : ""));
    return [id, /** @type {NodeEntry} */ (Object.keys(kept).length ? { ...entry, links: kept } : entry)];
  }));
  const layout = layoutThrough(graph, (id) => (ids.has(id) ? id : ""));
  layout.nodes = Object.fromEntries(chosen.map(([id]) => [id, placeOf(graph, id)]));
  const subgraphs = subgraphsOf(json, Object.values(nodes));
  return {
    nodegraph: json.nodegraph, nodes, layout, ...(Object.keys(subgraphs).length ? { subgraphs } : {}),
    clipping: { of: json.id ?? "", scope, links: Object.fromEntries(chosen.flatMap(([id, { links }]) => (links ? [[id, links]] : []))) },
  };
}

/** Bring subgraphs along: one that is there already, the same, is used; another of its name gets a free one.
 * @param {Workflow} json @param {Record<string, Graph>} subgraphs @returns {{json: Workflow, names: Map<string, string>}} */
export function withSubgraphs(json, subgraphs) {
  const names = new Map();
  const all = { ...json.subgraphs };
  for (const [name, graph] of Object.entries(subgraphs)) {
    const same = own(all, name) && JSON.stringify(all[name]) === JSON.stringify(graph);
    names.set(name, same ? name : freeName(name, (one) => one in all || one in subgraphs && one !== name));
    if (!same) all[names.get(name)] = graph;
  }
  for (const [name, graph] of Object.entries(subgraphs)) {
    if ([...names].every(([from, to]) => from === to)) break;
    all[names.get(name)] = { ...graph, nodes: Object.fromEntries(Object.entries(nodesOf(graph)).map(([id, entry]) => [id, calling(entry, names)])) };
  }
  return { json: names.size ? { ...json, subgraphs: all } : json, names };
}

/** A node that runs a subgraph, by the name that this has now. @param {NodeEntry} entry @param {Map<string, string>} names @returns {NodeEntry} */
function calling(entry, names) {
  if (entry.type.startsWith(CALLED)) return { ...entry, type: CALLED + (names.get(entry.type.slice(CALLED.length)) ?? entry.type.slice(CALLED.length)) };
  const body = names.get(entry.inputs?.body);
  return body ? { ...entry, inputs: { ...entry.inputs, body } } : entry;
}

/** Put a clipping, or a whole document, into a graph, its upper left corner at `at`. `linked` also takes the links from nodes that were not copied.
 * @param {Workflow} json @param {Scope} scope @param {Workflow | Clipping} clip @param {Point} at @param {{linked?: boolean}} [options]
 * @returns {{json: Workflow, ids: Set<string>}} */
export function paste(json, scope, clip, at, { linked = false } = {}) {
  const graph = graphAt(json, scope);
  const taken = new Set([...Object.keys(nodesOf(graph)), ...decorated(graph).map((one) => one.id)]);
  /** @type {Map<string, string>} */
  const ids = new Map();
  for (const id of [...Object.keys(nodesOf(clip)), ...decorated(clip).map((one) => one.id)]) {
    const free = freeName(id, (name) => taken.has(name));
    taken.add(free);
    ids.set(id, free);
  }
  const { json: brought, names } = withSubgraphs(json, clip.subgraphs ?? {});
  const outer = linked && clip.clipping && clip.clipping.of === (json.id ?? "") && clip.clipping.scope === scope;
  const lead = (/** @type {string} */ reference) => {
    const id = idOf(reference);
    return ids.has(id) ? ids.get(id) + reference.slice(id.length) : outer && own(nodesOf(graph), id) ? reference : "";
  };
  const nodes = Object.fromEntries(Object.entries(nodesOf(clip)).map(([id, { links, ...entry }]) => {
    const led = linksThrough((outer && own(clip.clipping.links, id)) || links, lead);
    return [ids.get(id), calling(/** @type {NodeEntry} */ (Object.keys(led).length ? { ...entry, links: led } : entry), names)];
  }));
  const layout = layoutThrough(clip, (id) => ids.get(id) ?? "");
  layout.nodes = Object.fromEntries(Object.keys(nodesOf(clip)).map((id) => [ids.get(id) ?? id, placeOf(clip, id)]));
  const places = [...Object.values(layout.nodes), ...decorated(clip).map((one) => /** @type {Point} */ ([one.x, one.y]))];
  const [dx, dy] = [at[0] - Math.min(...places.map(([x]) => x)), at[1] - Math.min(...places.map(([, y]) => y))].map(Math.round);
  const after = inGraph(brought, scope, (now) => ({ ...now, nodes: { ...now.nodes, ...nodes }, layout: joined(layoutOf(now), layout, dx, dy) }));
  return { json: places.length ? after : json, ids: new Set(ids.values()) };
}

/** @param {Layout} layout @param {Layout} more @param {number} dx @param {number} dy @returns {Layout} */
function joined(layout, more, dx, dy) {
  const shifted = (/** @type {Point} */ [x, y]) => /** @type {Point} */ ([x + dx, y + dy]);
  /** @type {Layout} */
  const all = { ...layout, nodes: { ...layout.nodes, ...Object.fromEntries(Object.entries(more.nodes ?? {}).map(([id, place]) => [id, shifted(place)])) } };
  for (const part of ["widths", "titles", "seeds"]) if (more[part]) all[part] = { ...layout[part], ...more[part] };
  if (more.reroutes) all.reroutes = { ...layout.reroutes, ...Object.fromEntries(Object.entries(more.reroutes).map(([key, points]) => [key, points.map(shifted)])) };
  if (more.collapsed?.length) all.collapsed = [...(layout.collapsed ?? []), ...more.collapsed];
  for (const part of /** @type {const} */ (["frames", "notes"])) {
    const moved = /** @type {any[]} */ (more[part] ?? []).map((one) => ({ ...one, x: one.x + dx, y: one.y + dy }));
    if (moved.length) all[part] = [...(layout[part] ?? []), ...moved];
  }
  return all;
}

/** Whether something has the shape of a graph: the server looks at what is opened, and nobody but this at what is pasted. @param {any} graph */
function isGraph(graph) {
  if (!isRecord(graph) || !isRecord(graph.nodes ?? {})) return false;
  const isLink = (/** @type {any} */ from) => [from].flat().every((one) => typeof one === "string");
  const { inputs, outputs } = graph.interface ?? {};
  if (!Object.values(inputs ?? {}).every((one) => Array.isArray(one?.to) && isLink(one.to)) || !Object.values(outputs ?? {}).every(isLink)) return false;
  return Object.values(graph.nodes ?? {}).every((entry) => isRecord(entry) && typeof entry.type === "string" && isRecord(entry.inputs ?? {})
    && isRecord(entry.links ?? {}) && Object.values(entry.links ?? {}).every(isLink));
}

/** What a text holds: a document of ours, a clipping of one, another program's workflow, or neither. @param {string} text
 * @returns {{kind: "clipping" | "workflow" | "foreign" | "", json: any}} */
export function readText(text) {
  let json = null;
  try {
    json = /^\s*\{/.test(text) ? JSON.parse(text) : null;
  } catch {
    // not JSON: an ordinary text
  }
  const entries = isRecord(json) && Object.values(json);
  const foreign = entries && (Array.isArray(json.nodes) || entries.length > 0 && entries.every((/** @type {any} */ one) => one?.class_type));
  const ours = isRecord(json) && json.nodegraph && [json, ...Object.values(json.subgraphs ?? {})].every(isGraph);
  return { kind: ours ? (json.clipping ? "clipping" : "workflow") : foreign ? "foreign" : "", json };
}
