// Forking a denoise: a second branch from one of its steps, with a prompt or a guidance of its own. The steps before it are to the cache what
// they were, so nothing is computed twice.

/** @import { Box, Catalog, Graph, NodeEntry, Point, Workflow } from "../types.d.ts" */
import { addNode, freeId, put, setDecoration, setPublicOutput } from "./edit.js";
import { around, boxOf } from "./geometry.js";
import { decorationsOf, freeName, inOrder, nodeAt, nodesOf, placeOf, sourcesOf, split } from "./graph.js";

/** What can be forked, and with what: why not, where it cannot. `prompt` is null where no single node holds it.
 * @typedef {{reason: string, steps: number, guidance: string, source: string, prompt: string | null, scale: number | null}} Forkable */

const GAP = 60;
const MARGIN = 40;

/** A value that is typed in here, or in the node of one value that is linked; undefined where it is computed. @param {Catalog} catalog
 * @param {Workflow} json @param {string} id @param {string} input @returns {any} */
export function literal(catalog, json, id, input) {
  const entry = nodeAt(json, id);
  if (!entry) return undefined;
  const from = entry.links?.[input];
  if (from === undefined) return entry.inputs?.[input] ?? catalog.specOf(json, entry).inputs.find((one) => one.name === input)?.default;
  if (Array.isArray(from)) return undefined;
  const [source] = split(from);
  const other = nodeAt(json, source);
  const inputs = other ? catalog.specOf(json, other).inputs : [];
  return inputs.length === 1 && inputs[0].name === "value" ? literal(catalog, json, source, "value") : undefined;
}

/** @param {Catalog} catalog @param {Workflow} json @param {string} id A node of the document's own graph. @returns {Forkable} */
export function forkable(catalog, json, id) {
  const none = { steps: 0, guidance: "", source: "", prompt: null, scale: null };
  const entry = nodeAt(json, id);
  if (entry?.type !== "diffusion/denoise") return { ...none, reason: "not_here" };
  const steps = literal(catalog, json, id, "steps");
  if (!Number.isInteger(steps)) return { ...none, reason: "computed" };
  const [guidance] = split(String(entry.links?.guidance ?? ""));
  if (nodeAt(json, guidance)?.type !== "diffusion/guidance") return { ...none, reason: "guidance" };
  const [source] = split(String(nodesOf(json)[guidance].links?.positive ?? ""));
  const hasText = nodesOf(json)[source] && catalog.specOf(json, nodesOf(json)[source]).inputs.some((input) => input.name === "text");
  const text = hasText ? literal(catalog, json, source, "text") : undefined;
  const scale = literal(catalog, json, guidance, "scale");
  return { reason: "", steps, guidance, source, prompt: hasText ? String(text ?? "") : null, scale: typeof scale === "number" ? scale : null };
}

/** The nodes that read from a node, directly or through others, in order. @param {Graph} graph @param {string} id */
function behind(graph, id) {
  const found = new Set([id]);
  for (const one of inOrder(graph)) if (sourcesOf(graph, one).some((source) => found.has(source))) found.add(one);
  return [...found].slice(1);
}

/** Branch off after `step` steps of a denoise. Gives the document, and the new nodes. @param {Catalog} catalog @param {Workflow} json @param {string} id
 * @param {number} step @param {{prompt?: string | null, scale?: number | null, title: string}} given @returns {{json: Workflow, made: string[]}} */
export function forkAt(catalog, json, id, step, { prompt = null, scale = null, title }) {
  const { steps, guidance, source } = forkable(catalog, json, id);
  const nodes = nodesOf(json);
  const { x, y, bottom } = below(catalog, json);
  /** @type {Graph} */
  let graph = json;
  /** @type {string[]} */
  const made = [];
  const add = (/** @type {string} */ wish, /** @type {NodeEntry} */ entry, /** @type {Point} */ place) => {
    const name = freeId(graph, wish);
    graph = addNode(graph, name, entry, place);
    made.push(name);
    return name;
  };
  const boxHeight = (/** @type {string} */ name) => boxOf(graph, name, catalog.specOf(json, nodesOf(graph)[name])).height;

  const first = add(`${id}_fork`, withValue(nodes[id], "steps", step), [x, y]);
  const asked = prompt === null ? "" : add(`${source}_fork`, withValue(nodes[source], "text", prompt), [x, y + boxHeight(first) + GAP]);
  let changed = nodes[guidance];
  if (asked) changed = linked(changed, "positive", `${asked}.${split(String(changed.links?.positive))[1]}`);
  if (scale !== null) changed = withValue(changed, "scale", scale);
  const steering = add(`${guidance}_fork`, changed, [x + 290, asked ? y + boxHeight(first) + GAP : y + boxHeight(first) / 2]);
  const more = linked(linked(withValue(nodes[id], "steps", steps - step), "state", `${first}.state`), "guidance", `${steering}.guidance`);
  const rest = add(`${id}_rest`, more, [x + 580, y]);

  const copies = new Map([[id, rest]]);
  const [left, top] = placeOf(json, id);
  for (const one of behind(json, id)) {
    const [oneX, oneY] = placeOf(json, one);
    const place = /** @type {Point} */ ([Math.max(x + 870, oneX - left + x + 580), Math.max(y, y + oneY - top)]);
    copies.set(one, add(`${one}_fork`, relinked(nodes[one], copies), place));
  }
  let after = graph;
  for (const [name, from] of Object.entries(json.interface?.outputs ?? {})) {
    const [node, output] = split(from);
    const copy = copies.get(node);
    if (copy) after = setPublicOutput(after, freeName(`${name}_fork`, (one) => one in (after.interface?.outputs ?? {})), `${copy}.${output}`);
  }
  const boxes = made.map((name) => boxOf(after, name, catalog.specOf(json, nodesOf(after)[name])));
  const box = around(boxes) ?? { x, y, width: 0, height: 0 };
  const frame = { id: freeName("fork", (name) => decorationsOf(json, "frames").some((one) => one.id === name) || name in nodesOf(after)), title,
    x: box.x - MARGIN, y: bottom + GAP, width: box.width + 2 * MARGIN, height: box.y - bottom - GAP + box.height + MARGIN };
  return { json: /** @type {Workflow} */ (setDecoration(after, "frames", frame.id, frame)), made };
}

/** The free place below everything. @param {Catalog} catalog @param {Workflow} json */
function below(catalog, json) {
  const boxes = Object.entries(nodesOf(json)).map(([id, entry]) => /** @type {Box} */ (boxOf(json, id, catalog.specOf(json, entry))));
  const all = [...boxes, ...decorationsOf(json, "frames"), ...decorationsOf(json, "notes")];
  const bottom = Math.max(...all.map((box) => box.y + box.height));
  return { x: Math.min(...all.map((box) => box.x)) + MARGIN, y: bottom + GAP + 2 * MARGIN, bottom };
}

/** @param {NodeEntry} entry @param {string} input @param {any} value @returns {NodeEntry} */
function withValue(entry, input, value) {
  const links = put(entry.links, input, undefined);
  const after = { ...entry, inputs: put(entry.inputs, input, value) };
  return put(after, "links", Object.keys(links).length ? links : undefined);
}

/** @param {NodeEntry} entry @param {string} input @param {string} from @returns {NodeEntry} */
const linked = (entry, input, from) => ({ ...entry, links: put(entry.links, input, from) });

/** Read from the copies where there are copies. @param {NodeEntry} entry @param {ReadonlyMap<string, string>} copies @returns {NodeEntry} */
function relinked(entry, copies) {
  const led = (/** @type {string} */ reference) => {
    const [node, output] = split(reference);
    return copies.has(node) ? `${copies.get(node)}.${output}` : reference;
  };
  const links = Object.entries(entry.links ?? {}).map(([input, from]) => [input, Array.isArray(from) ? from.map(led) : led(from)]);
  return { ...entry, links: Object.fromEntries(links) };
}
