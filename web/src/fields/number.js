// A number: typed in, or dragged sideways over its label.
import { html } from "../html.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export function NumberField({ input, field, value, change, place }) {
  return html`<label class="field number">
    <span class="field-label">${input.title}</span>
    <input type="number" data-place=${place} value=${value ?? ""} min=${field.minimum} max=${field.maximum} step=${field.whole ? field.step : "any"}
      onInput=${(/** @type {any} */ event) => event.target.validity.valid && event.target.value !== "" && change(event.target.valueAsNumber, { merge: true })} />
  </label>`;
}
