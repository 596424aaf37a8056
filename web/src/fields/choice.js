// One of several.
import { html } from "../html.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export function Choice({ input, field, value, change, place }) {
  return html`<label class="field choice">
    <span class="field-label">${input.title}</span>
    <select data-place=${place} value=${String(value)} onChange=${(/** @type {any} */ event) => change(field.choices?.[event.target.selectedIndex])}>
      ${field.choices?.map((choice) => html`<option value=${String(choice)}>${String(choice)}</option>`)}
    </select>
  </label>`;
}
