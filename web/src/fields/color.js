// A colour: chosen, or written as #rrggbb (with #rrggbbaa it lets through what is below).
import { html } from "../html.js";
import { t } from "../text/index.js";
import { on, useDraft } from "./parts.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export function Color({ input, value, change, attrs, say }) {
  const now = typeof value === "string" ? value : "";
  const { text, take, leave } = useDraft(now, (typed) => {
    if (!/^#([0-9a-f]{6}|[0-9a-f]{8})$/i.test(typed)) throw new Error(t("field.no_color"));
    return typed;
  }, change, say, String);
  return html`<input type="color" aria-label=${input.title} value=${now.slice(0, 7)} onInput=${on((event) => change(event.target.value + now.slice(7), { merge: true }))} />
    <input type="text" class="hex" ...${attrs} spellcheck=${false} value=${text} onInput=${on((event) => take(event.target.value, true))} onBlur=${leave} />`;
}
