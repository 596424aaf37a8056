// Fields: which control an input's schema asks for. The same controls serve nodes, the inspector and the form.
import { html } from "../html.js";
import { Choice } from "./choice.js";
import { NumberField } from "./number.js";
import { Text } from "./text.js";
import { Toggle } from "./toggle.js";

/** @import { App, InputSpec, Tab } from "../types.d.ts" */

/** What a control is given. `change(value, {merge})`: undefined takes the value out, `merge` while typing or dragging.
 * @typedef {{app: App, tab: Tab, input: InputSpec, field: Field, value: any, set: boolean, where: "node" | "form" | "inspector", place: string,
 *   height: number, change(value: any, options?: {merge?: boolean}): unknown}} ControlProps */
/** What an input's schema says, for a control. @typedef {{kind: string, schema: Record<string, any>, nullable: boolean, minimum?: number,
 *   maximum?: number, step: number, whole: boolean, choices: any[] | null}} Field */

/** @param {number} row How high the row is. */
export const controlHeight = (row) => row - 4;

/** @type {WeakMap<InputSpec, Field>} */
const fields = new WeakMap();

/** @param {InputSpec} input @returns {Field} */
export function fieldOf(input) {
  let field = fields.get(input);
  if (!field) fields.set(input, (field = described(input)));
  return field;
}

/** @param {InputSpec} input @returns {Field} */
function described(input) {
  const whole = input.schema ?? {};
  const branches = whole.anyOf ?? [whole];
  const nullable = branches.some((/** @type {any} */ one) => one.type === "null");
  const schema = { ...whole, ...branches.find((/** @type {any} */ one) => one.type !== "null") };
  const integer = schema.type === "integer";
  return {
    kind: kindOfField(input, schema), schema, nullable, minimum: schema.minimum ?? schema.exclusiveMinimum, maximum: schema.maximum ?? schema.exclusiveMaximum,
    step: schema["x-step"] ?? (integer ? 1 : stepFor(schema.minimum, schema.maximum)), whole: integer, choices: schema.enum ?? null,
  };
}

/** @param {number | undefined} minimum @param {number | undefined} maximum */
const stepFor = (minimum, maximum) => (minimum !== undefined && maximum !== undefined && maximum - minimum <= 2 ? 0.01 : 0.1);

/** @param {InputSpec} input @param {Record<string, any>} schema */
function kindOfField(input, schema) {
  const type = JSON.stringify(input.type);
  const named = (/** @type {string} */ name) => type.includes(`"value":"${name}`);
  if (schema.enum) return "choice";
  if (type.includes('"list"') || schema.type === "array" && schema.format !== "curve") return "list";
  if (named("seed")) return "seed";
  if (named("secret")) return "secret";
  if (named("model:")) return "model";
  if (named("file")) return schema.format === "mask" ? "mask" : "file";
  if (["color", "curve", "multiline", "prompt", "subgraph"].includes(schema.format)) return schema.format;
  switch (schema.type) {
    case "integer": case "number": return "number";
    case "boolean": return "toggle";
    case "string": return "text";
    default: return "json";
  }
}

/** @type {Record<string, (props: ControlProps) => any>} */
const CONTROLS = { number: NumberField, seed: NumberField, choice: Choice, toggle: Toggle };

/** @param {Omit<ControlProps, "field">} props */
export function Control(props) {
  const field = fieldOf(props.input);
  return html`<${CONTROLS[field.kind] ?? Text} ...${props} field=${field} />`;
}
