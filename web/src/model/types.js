// May this output connect to that input, and how? The same small relation as nodegraph/graph/relations.py; both pass
// tests/type_relations.json.

/** @import { TypeExpr } from "../types.d.ts" */
/** @typedef {{kind: string, name: string, args: Type[]}} Type */
/** @typedef {{how: "direct" | "wrap" | "map", bindings: Map<string, TypeExpr>, depth: number}} Relation */

/** Value types that connect although their names differ. @type {Record<string, string[]>} */
const WIDENS = { int: ["float", "seed"], seed: ["int", "float"], enum: ["str"], str: ["enum", "color"], color: ["str"] };

/** @param {TypeExpr} type */
export const kindOf = (type) => Object.keys(type)[0];
/** What a list or an optional holds, a name, or the members of a union. @param {TypeExpr} type @returns {any} */
export const bodyOf = (type) => Object.values(type)[0];

/** A type in words: `list[Image]`. @param {TypeExpr} type @returns {string} */
export function typeText(type) {
  const body = bodyOf(type);
  switch (kindOf(type)) {
    case "list": return `list[${typeText(body)}]`;
    case "optional": return typeText(body);
    case "union": return body.map(typeText).join(" | ");
    default: return body;
  }
}

/** @param {TypeExpr} type @returns {boolean} */
export function hasVariable(type) {
  const kind = kindOf(type);
  return kind === "var" || (kind === "union" ? bodyOf(type).some(hasVariable) : kind === "list" || kind === "optional" ? hasVariable(bodyOf(type)) : false);
}

/** Whether every value of a type is JSON. @param {TypeExpr} type @returns {boolean} */
export function isJson(type) {
  const kind = kindOf(type);
  if (kind === "value") return true;
  return kind === "union" ? bodyOf(type).every(isJson) : (kind === "list" || kind === "optional") && isJson(bodyOf(type));
}

/** @param {TypeExpr} a @param {TypeExpr} b */
export const sameType = (a, b) => a === b || JSON.stringify(a) === JSON.stringify(b);

/** How `source` connects to `target`, or null. `bound` holds variables that other links of the node have bound.
 * @param {TypeExpr} source @param {TypeExpr} target @param {ReadonlyMap<string, TypeExpr>} [bound] @returns {Relation | null} */
export function relate(source, target, bound = new Map()) {
  let bindings = new Map(bound);
  if (direct(source, target, bindings)) return { how: "direct", bindings, depth: 0 };
  const bare = kindOf(target) === "optional" ? bodyOf(target) : target;
  bindings = new Map(bound);
  if (kindOf(bare) === "list" && direct(source, bodyOf(bare), bindings)) return { how: "wrap", bindings, depth: 0 };
  if (kindOf(source) === "list" && !hasVariable(target)) {
    const inner = relate(bodyOf(source), target, bound);
    if (inner && inner.how !== "wrap") return { how: "map", bindings: inner.bindings, depth: inner.depth + 1 };
  }
  return null;
}

/** @param {TypeExpr} source @param {TypeExpr} target @param {Map<string, TypeExpr>} bindings @returns {boolean} */
function direct(source, target, bindings) {
  const [from, into] = [kindOf(source), kindOf(target)];
  if (into === "var") {
    const name = bodyOf(target);
    const known = bindings.get(name) ?? source;
    bindings.set(name, known);
    if (sameType(source, known) || direct(source, known, new Map())) return true;
    if (!direct(known, source, new Map())) return false;
    bindings.set(name, source); // the wider of the two is what the variable stands for: int and float give float
    return true;
  }
  if (from === "union") return bodyOf(source).every((/** @type {TypeExpr} */ member) => direct(member, target, bindings));
  if (into === "optional") return direct(from === "optional" ? bodyOf(source) : source, bodyOf(target), bindings);
  if (into === "union") return bodyOf(target).some((/** @type {TypeExpr} */ member) => direct(source, member, bindings));
  if (from === "optional") return false;
  if (from !== into) return from === "list" && sameType(target, { value: "json" }) && isJson(source);
  if (from === "list") return direct(bodyOf(source), bodyOf(target), bindings);
  const [name, wanted] = [bodyOf(source), bodyOf(target)];
  if (name === wanted) return true;
  return from === "value" && (wanted === "json" || (WIDENS[name] ?? []).includes(wanted));
}

/** `type` with its variables replaced by what they are bound to. @param {TypeExpr} type @param {ReadonlyMap<string, TypeExpr>} bindings
 * @returns {TypeExpr} */
export function substitute(type, bindings) {
  const body = bodyOf(type);
  switch (kindOf(type)) {
    case "var": return bindings.get(body) ?? type;
    case "list": return { list: substitute(body, bindings) };
    case "optional": return { optional: substitute(body, bindings) };
    case "union": return { union: body.map((/** @type {TypeExpr} */ member) => substitute(member, bindings)) };
    default: return type;
  }
}
