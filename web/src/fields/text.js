// Text, of one line or of several.
import { html } from "../html.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export function Text({ input, field, value, change, place, height }) {
  const type = (/** @type {any} */ event) => change(event.target.value, { merge: true });
  const several = field.kind === "multiline" || field.kind === "prompt";
  return html`<label class=${`field text ${several ? "several" : ""}`}>
    <span class="field-label">${input.title}</span>
    ${several
      ? html`<textarea data-place=${place} style=${{ height: `${height}px` }} placeholder=${input.title} onInput=${type} value=${value ?? ""}></textarea>`
      : html`<input type="text" data-place=${place} value=${value ?? ""} onInput=${type} />`}
  </label>`;
}
