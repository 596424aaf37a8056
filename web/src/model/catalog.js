// Node types by id, and what a node's sockets are: those of its type, of the subgraph it runs, or what the document names.

/** @import { Catalog, Graph, InputSpec, NodeEntry, NodeSpec, SocketSpec, TypeExpr, Workflow } from "../types.d.ts" */
import { nodeAt, own, split } from "./graph.js";
import { outputType } from "./linked.js";
import { bodyOf, kindOf } from "./types.js";

export const CALLED = "subgraph/";

/** The subgraph that a node runs, as its own body or as that of a loop; "" where it runs none. @param {Workflow} json @param {NodeEntry} entry */
export function calledBy(json, entry) {
  const name = entry.type.startsWith(CALLED) ? entry.type.slice(CALLED.length) : entry.inputs?.body;
  return typeof name === "string" && own(json.subgraphs, name) ? name : "";
}

const VALUE_COLORS = /** @type {Record<string, string>} */ ({
  int: "#7bd88f", float: "#7bd88f", seed: "#c9a0ff", str: "#ffb870", enum: "#ffb870", bool: "#ff8fa3", color: "#f7a8d8", file: "#c0a080",
  json: "#a8b4c4", secret: "#ff6b6b", curve: "#9fd3c7",
});

/** What each way to iterate sets in the body in every round. @type {Record<string, string[]>} */
const SETS = { map: ["item", "index"], fold: ["state", "item", "index"], while: ["state", "index"], once: [] };

/** @param {{nodes: Record<string, NodeSpec>, sockets: Record<string, SocketSpec>, broken: Record<string, string>,
 *   files?: Catalog["files"]}} data @returns {Catalog} */
export function createCatalog(data) {
  /** Specs that follow from a subgraph, by the subgraph. @type {WeakMap<Graph, Map<string, NodeSpec>>} */
  const byGraph = new WeakMap();
  /** Guesses, by the entry. @type {WeakMap<NodeEntry, NodeSpec>} */
  const guessed = new WeakMap();
  /** @type {Catalog} */
  const catalog = {
    ...data,
    specOf(json, entry) {
      const called = entry.type.startsWith(CALLED);
      const base = (!called && own(data.nodes, entry.type)) || null;
      if (base && !base.iterates) return base;
      const name = called ? entry.type.slice(CALLED.length) : entry.inputs?.body;
      const named = typeof name === "string" ? own(json.subgraphs, name) : undefined;
      const file = named?.file && !named.nodes ? own(data.files, named.file) : undefined;
      const graph = file ?? named;
      if (!graph || graph.file && !graph.nodes) return base ?? guess(entry);
      let known = byGraph.get(graph);
      if (!known) byGraph.set(graph, (known = new Map()));
      let spec = known.get(entry.type);
      if (!spec) {
        known.set(entry.type, base ?? blank(entry.type)); // for one that runs itself
        known.set(entry.type, (spec = specialised(catalog, file ?? json, graph, name, base)));
      }
      return spec;
    },
    color: (type) => colorOf(type, data.sockets),
    shape(type) {
      switch (kindOf(type)) {
        case "optional": return catalog.shape(bodyOf(type));
        case "list": return "square";
        case "value": return "diamond";
        case "var": case "union": return "ring";
        default: return "circle";
      }
    },
  };

  /** A type that is not installed: the sockets that the document names. @param {NodeEntry} entry @returns {NodeSpec} */
  function guess(entry) {
    let spec = guessed.get(entry);
    if (!spec) {
      const names = [...new Set([...Object.keys(entry.inputs ?? {}), ...Object.keys(entry.links ?? {})])];
      spec = { ...blank(entry.type), inputs: names.map((name) => ({ ...blankInput(name), many: Array.isArray(own(entry.links, name)) })), missing: true };
      guessed.set(entry, spec);
    }
    return spec;
  }
  return catalog;
}

/** @param {TypeExpr} type @param {Record<string, SocketSpec>} sockets @returns {string} */
function colorOf(type, sockets) {
  const [kind, body] = [kindOf(type), bodyOf(type)];
  if (kind === "socket") return own(sockets, body)?.color ?? "#9aa4b2";
  if (kind === "value") return own(VALUE_COLORS, body.split(":")[0]) ?? (body.startsWith("model") ? "#d4b483" : "#9aa4b2");
  if (kind === "list" || kind === "optional") return colorOf(body, sockets);
  return "#cfd6df";
}

/** @param {string} id @returns {NodeSpec} */
const blank = (id) => ({
  id, inputs: [], outputs: [], title: id.split("/").at(-1) ?? id, category: "", description: "", version: 1, output: false, composite: false, iterates: "",
  deprecated: "", permissions: [],
});
/** @param {string} name @returns {InputSpec} */
const blankInput = (name) => ({
  name, type: { var: name }, required: false, default: null, schema: null, many: false, lazy: false, title: name, description: "", file: "",
});

/** The sockets of a node that runs a subgraph. @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {string} name
 * @param {NodeSpec | null} base @returns {NodeSpec} */
function specialised(catalog, json, graph, name, base) {
  const inputs = Object.entries(graph.interface?.inputs ?? {}).map(([one, spec]) => publicInput(catalog, json, graph, one, spec));
  const outputs = Object.entries(graph.interface?.outputs ?? {}).map(([one, from]) => ({ name: one, type: typeInside(catalog, json, graph, from), description: "" }));
  if (!base) {
    const description = typeof graph.description === "string" ? graph.description : "";
    return { ...blank(CALLED + name), title: graph.title || name, category: "subgraph", description, composite: true, inputs, outputs, subgraph: name };
  }
  const own = base.inputs.filter((input) => input.name === "body" || input.name === "limit");
  const by = (/** @type {string} */ one) => inputs.find((input) => input.name === one) ?? blankInput(one);
  const loops = /** @type {InputSpec[]} */ ([]);
  if (base.iterates !== "while") loops.push({ ...by("item"), name: "items", title: "Items", type: { list: by("item").type }, required: true, schema: listSchema(by("item")) });
  if (base.iterates !== "map") loops.push({ ...by("state"), name: "initial", title: "Initial" });
  const captured = inputs.filter((input) => !SETS[base.iterates].includes(input.name));
  const given = base.iterates === "map"
    ? outputs.map((output) => ({ ...output, type: { list: output.type } }))
    : [{ name: "state", type: by("state").type, description: "" }];
  if (base.iterates === "while") given.push({ name: "rounds", type: { value: "int" }, description: "" });
  return { ...base, inputs: [...own, ...loops, ...captured], outputs: given, subgraph: name };
}

/** @param {InputSpec} item */
const listSchema = (item) => (item.schema && !item.file ? { type: "array", items: item.schema } : null);

/** What a public input takes: what its first socket takes, narrowed by what the interface says. @param {Catalog} catalog @param {Workflow} json
 * @param {Graph} graph @param {string} name @param {import("../types.d.ts").InterfaceInput} spec @returns {InputSpec} */
export function publicInput(catalog, json, graph, name, spec) {
  const found = spec.to.map((reference) => socketInside(catalog, json, graph, reference)).filter((one) => one !== undefined);
  const first = found[0] ?? blankInput(name);
  const id = spec.to[0]?.split(".", 1)[0];
  const now = id ? own(nodeAt(graph, id)?.inputs, first.name) : undefined;
  return {
    ...first, name, title: spec.title || (spec.to.length ? first.title : name) || name, description: spec.description || first.description,
    required: first.required && spec.default === undefined && now === undefined, default: spec.default ?? now ?? first.default,
    schema: first.schema && narrowed(first.schema, spec), type: spec.as_list ? { list: first.type } : first.type, many: false, lazy: false,
  };
}

/** @param {Record<string, any>} schema @param {import("../types.d.ts").InterfaceInput} spec */
function narrowed(schema, spec) {
  const branches = schema.anyOf?.map((/** @type {any} */ one) => (one.type === "null" ? one : narrowed(one, spec)));
  if (branches) return { ...schema, anyOf: branches };
  const copy = { ...schema };
  if (spec.minimum !== undefined && spec.minimum !== null) copy.minimum = Math.max(spec.minimum, schema.minimum ?? -Infinity);
  if (spec.maximum !== undefined && spec.maximum !== null) copy.maximum = Math.min(spec.maximum, schema.maximum ?? Infinity);
  if (spec.choices) copy.enum = spec.choices;
  if (spec.step) copy["x-step"] = spec.step;
  return copy;
}

/** @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {string} reference `node.input` @returns {InputSpec | undefined} */
export function socketInside(catalog, json, graph, reference) {
  const [id, name] = split(reference);
  const entry = nodeAt(graph, id);
  return entry && catalog.specOf(json, entry).inputs.find((input) => input.name === name);
}

/** @param {Catalog} catalog @param {Workflow} json @param {Graph} graph @param {string} reference `node.output` @returns {TypeExpr} */
function typeInside(catalog, json, graph, reference) {
  return outputType(catalog, json, graph, reference) ?? { var: reference };
}
