// Fields: which control an input's schema asks for, and what is around each: label, menu, what is wrong. They serve nodes, inspector and form.
import { useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";
import { Choice } from "./choice.js";
import { Color } from "./color.js";
import { Curve } from "./curve.js";
import { FileField, FolderField } from "./file.js";
import { ListField } from "./list.js";
import { fieldMenu } from "./menu.js";
import { Model } from "./model.js";
import { NumberField } from "./number.js";
import { on } from "./parts.js";
import { Prompt } from "./prompt.js";
import { Secret, Subgraph } from "./names.js";
import { Seed } from "./seed.js";
import { Text, TypedJson } from "./text.js";
import { Toggle } from "./toggle.js";

/** @import { App, InputSpec, Tab } from "../types.d.ts" */

/** What a field is given. `change(value, {merge})`: undefined takes the value out, `merge` while typing or dragging. `place` is `node.input`, in
 * the form the name of a public input; `within` says where on the page, for ids; `targets` are the sockets that the value goes to.
 * @typedef {{app: App, tab: Tab, input: InputSpec, value: any, set: boolean, where: "node" | "form" | "inspector", place: string, targets?: string[],
 *   height: number, within?: string, wrong?: string, mixed?: boolean, promoted?: boolean, change(value: any, options?: {merge?: boolean}): unknown}} FieldProps */
/** What a control is given besides: `attrs` belong on the element that is typed in or pressed, `say` puts a message beside the field, `grip` is
 * what pulling at the label does.
 * @typedef {FieldProps & {field: Field, attrs: Record<string, any>, say(text: string): void, grip: {current: any}}} ControlProps */
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
  if (named("file")) return "file";
  if (named("folder")) return "folder";
  if (["color", "curve", "multiline", "prompt", "subgraph"].includes(schema.format)) return schema.format;
  switch (schema.type) {
    case "integer": case "number": return "number";
    case "boolean": return "toggle";
    case "string": return "text";
    default: return "json";
  }
}

/** @type {Record<string, (props: ControlProps) => any>} */
const CONTROLS = {
  number: NumberField, seed: Seed, choice: Choice, toggle: Toggle, prompt: Prompt, model: Model, color: Color, file: FileField, folder: FolderField, list: ListField, curve: Curve,
  secret: Secret, subgraph: Subgraph, json: TypedJson,
};
const PRESSED = ["file", "model", "list", "curve"]; // buttons: aria-required is for what is typed in or chosen
const WIDE = ["multiline", "prompt", "list", "curve", "json"];

/** A field with its label, its menu, and what is wrong with it. @param {FieldProps} props */
export function Control(props) {
  const { input, app, where, place, set, wrong: found = "", mixed, promoted, within = where } = props;
  const field = fieldOf(input);
  const id = `${within}-${place}`; // a node is a tree of its own, so the ids that preact makes would come twice
  const [said, say] = useState("");
  const grip = useRef(null);
  const wrong = [said, found].filter(Boolean).join(" ");
  const menu = () => fieldMenu(app, props, field);
  const attrs = {
    id, "data-place": place, "aria-invalid": wrong ? "true" : undefined, "aria-describedby": wrong ? `${id}-wrong` : undefined,
    "aria-required": (input.required && !PRESSED.includes(field.kind)) || undefined, placeholder: mixed ? t("field.mixed") : undefined,
  };
  /** @param {MouseEvent} event */
  const context = (event) => {
    const typed = /** @type {any} */ (event.target);
    if (event.shiftKey || typed.selectionStart !== typed.selectionEnd) return; // the browser's own, for what is marked
    event.preventDefault();
    event.stopPropagation();
    menu();
  };
  return html`<div class=${`field ${field.kind} ${WIDE.includes(field.kind) ? "several" : ""} ${wrong ? "wrong" : ""} ${set ? "set" : ""}`} onContextMenu=${context}
      onKeyDown=${on((event) => (event.key === "ContextMenu" || (event.shiftKey && event.key === "F10")) && event.stopPropagation())}>
    <label class="field-label" for=${id} title=${input.description || input.title} data-control onPointerDown=${on((event) => /** @type {any} */ (grip.current)?.(event))}>
      ${input.title}${field.schema["x-unit"] && html` <small>${field.schema["x-unit"]}</small>`}</label>
    ${promoted && html`<span class="promoted" title=${t("field.promoted")}><${Icon} name="form" /><span class="only-read">${t("field.promoted")}</span></span>`}
    <${CONTROLS[field.kind] ?? Text} ...${props} field=${field} attrs=${attrs} say=${say} grip=${grip} />
    ${where !== "node" && html`<button type="button" class="plain more" aria-label=${t("field.menu", { input: input.title })} title=${t("field.menu", { input: input.title })} onClick=${menu}><${Icon} name="more" /></button>`}
    ${wrong && html`<p class="field-wrong" id=${`${id}-wrong`} role=${said ? "alert" : undefined}>${wrong}</p>`}
  </div>`;
}
