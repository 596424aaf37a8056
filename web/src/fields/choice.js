// One of several: the browser's own list for a few, one that can be searched for many.
import { html } from "../html.js";
import { t } from "../text/index.js";
import { on, pick } from "./parts.js";

/** @import { ControlProps } from "./index.js" */

const FEW = 12;

/** @param {ControlProps} props */
export function Choice({ app, input, field, value, change, attrs, mixed }) {
  const choices = [...(field.choices ?? []), ...(field.nullable && !field.choices?.includes(null) ? [null] : [])];
  const named = (/** @type {any} */ one) => (one === null || one === undefined ? t("field.unset") : String(one));
  const known = !mixed && choices.includes(value);
  if (choices.length > FEW) {
    const choose = async () => {
      const found = await pick(app, input.title, () => choices.map((one) => ({ value: one, title: named(one) })), value);
      if (found !== undefined) change(found);
    };
    return html`<button type="button" class="value-button" ...${attrs} onClick=${choose}>${mixed ? t("field.mixed") : named(value)}</button>`;
  }
  return html`<select ...${attrs} onChange=${on((event) => change(choices[event.target.value]))}>
    ${!known && html`<option value="" selected disabled>${mixed ? t("field.mixed") : named(value)}</option>`}
    ${choices.map((one, index) => html`<option key=${index} value=${index} selected=${known && one === value}>${named(one)}</option>`)}
  </select>`;
}
