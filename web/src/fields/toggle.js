// Yes or no.
import { html } from "../html.js";
import { on } from "./parts.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export const Toggle = ({ value, change, attrs, mixed }) =>
  html`<input type="checkbox" role="switch" ...${attrs} checked=${Boolean(value)} indeterminate=${Boolean(mixed)} onChange=${on((event) => change(event.target.checked))} />`;
