// A list of numbers or texts, one in each line; any other list as JSON.
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";
import { numberIn } from "./number.js";
import { on, useDraft } from "./parts.js";
import { TypedJson } from "./text.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export function ListField(props) {
  const { field, value, change, where, height, attrs, say, input } = props;
  const items = field.schema.items ?? {};
  const numbers = items.type === "number" || items.type === "integer";
  const all = /** @type {any[]} */ (Array.isArray(value) ? value : []);
  const plain = (numbers || items.type === "string") && !items.enum && !all.some((one) => String(one).includes("\n"));
  const each = { ...field, nullable: false, minimum: items.minimum, maximum: items.maximum, whole: items.type === "integer", schema: items };
  const read = (/** @type {string} */ text) => (numbers ? numberIn(each, text) : text);
  const { text, take, leave } = useDraft(all, (typed) => (typed ? typed.split("\n").map(read) : []), change, say, (list) => (Array.isArray(list) ? list.join("\n") : ""));
  if (!plain) return html`<${TypedJson} ...${props} />`;
  if (where === "node") {
    return html`<textarea ...${attrs} style=${{ height: `${height}px` }} placeholder=${t("list.lines", { input: input.title })} value=${text} onInput=${on((event) => take(event.target.value, true))} onBlur=${leave}></textarea>`;
  }
  const name = (/** @type {number} */ index) => ({ input: input.title, number: index + 1 });
  const button = (/** @type {string} */ key, /** @type {string} */ icon, /** @type {number} */ index, /** @type {any[]} */ next, off = false) =>
    html`<button type="button" class="plain" aria-label=${t(`list.${key}`, name(index))} disabled=${off} onClick=${() => change(next)}><${Icon} name=${icon} /></button>`;
  return html`<ol class="list-items" role="group" aria-label=${input.title}>${all.map((one, index) => html`<li key=${index}>
      <input type="text" aria-label=${t("list.item", name(index))} ...${index ? {} : attrs} value=${one} onChange=${on((event) => {
        try {
          change(all.with(index, read(event.target.value)));
          say("");
        } catch (error) {
          say(/** @type {Error} */ (error).message);
        }
      })} />
      ${button("up", "up", index, index ? all.with(index, all[index - 1]).with(index - 1, one) : all, index === 0)}${button("remove", "trash", index, all.toSpliced(index, 1))}</li>`)}
    <li><button type="button" ...${all.length ? {} : attrs} onClick=${() => change([...all, numbers ? all.at(-1) ?? items.minimum ?? 0 : ""])}><${Icon} name="add" /> ${t("list.add")}</button></li></ol>`;
}
