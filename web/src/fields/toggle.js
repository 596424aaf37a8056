// Yes or no.
import { html } from "../html.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export function Toggle({ input, value, change, place }) {
  return html`<label class="field toggle">
    <span class="field-label">${input.title}</span>
    <input type="checkbox" role="switch" data-place=${place} checked=${Boolean(value)} onChange=${(/** @type {any} */ event) => change(event.target.checked)} />
  </label>`;
}
