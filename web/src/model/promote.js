// Inputs of nodes in the interface: what a form asks for.

/** @import { Graph, InputSpec, InterfaceInput, NodeSpec } from "../types.d.ts" */
import { disconnect, put, setPublicInput, setValue } from "./edit.js";
import { freeName, layoutOf, nodesOf, split, titleOf } from "./graph.js";

/** The name of the public input that sets a socket; "" where none does. @param {Graph} graph @param {string} place `node.input` */
export const promoted = (graph, place) => Object.entries(graph.interface?.inputs ?? {}).find(([, one]) => one.to.includes(place))?.[0] ?? "";

/** Have the form ask for an input of a node, in its present range. @param {Graph} graph @param {NodeSpec} spec @param {string} node @param {InputSpec} input @returns {Graph} */
export function promote(graph, spec, node, input) {
  const all = graph.interface?.inputs ?? {};
  const plain = input.name === "text" || input.name === "value"; // says nothing in a form: the node's own name does
  const own = layoutOf(graph).titles?.[node] || node.replace(/_/g, " ").replace(/^./, (letter) => letter.toUpperCase());
  const title = plain ? own : Object.values(all).some((one) => one.title === input.title) ? `${titleOf(graph, node, spec)}: ${input.title}` : input.title;
  const wish = plain ? node : input.name in all ? `${node}_${input.name}` : input.name;
  const schema = input.schema ?? {};
  /** @type {InterfaceInput} */
  let made = { to: [`${node}.${input.name}`], title };
  for (const part of /** @type {const} */ (["minimum", "maximum"])) if (typeof schema[part] === "number") made[part] = schema[part];
  if (schema["x-step"]) made.step = schema["x-step"];
  made = put(made, "default", nodesOf(graph)[node]?.inputs?.[input.name] ?? input.default ?? undefined);
  return setPublicInput(graph, freeName(wish, (name) => name in all), made);
}

/** Set a public input: every socket that it stands for, in place of what is linked there. @param {Graph} graph @param {string[]} to @param {any} value @returns {Graph} */
export const setPublic = (graph, to, value) => to.map(split).reduce((one, [id, name]) => setValue(value === undefined ? one : disconnect(one, id, name), id, name, value), graph);

/** The interface's inputs in another order, or under another name. @param {Graph} graph @param {(rows: [string, InterfaceInput][]) => [string, InterfaceInput][]} work @returns {Graph} */
export const arranged = (graph, work) => ({ ...graph, interface: { ...graph.interface, inputs: Object.fromEntries(work(Object.entries(graph.interface?.inputs ?? {}))) } });
