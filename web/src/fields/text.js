// Text, of one line or of several, and JSON that is written out.
import { html } from "../html.js";
import { t } from "../text/index.js";
import { on, useDraft } from "./parts.js";

/** @import { ControlProps } from "./index.js" */

/** @param {ControlProps} props */
export function Text({ input, field, value, change, height, attrs, where }) {
  const type = on((event) => change(event.target.value === "" && field.nullable ? null : event.target.value, { merge: true }));
  const hint = attrs.placeholder ?? (where === "node" ? input.title : "");
  return field.kind === "multiline"
    ? html`<textarea ...${attrs} style=${{ height: `${height}px` }} placeholder=${hint} onInput=${type} value=${value ?? ""}></textarea>`
    : html`<input type="text" ...${attrs} value=${value ?? ""} onInput=${type} />`;
}

/** @param {ControlProps} props */
export function TypedJson({ field, value, change, height, attrs, say, mixed }) {
  const { text, take, leave } = useDraft(mixed ? undefined : value, (typed) => {
    if (!typed.trim() && field.nullable) return null;
    try {
      return JSON.parse(typed);
    } catch (error) {
      throw new Error(t("json.none", { reason: /** @type {Error} */ (error).message }));
    }
  }, change, say, (one) => (one === undefined || one === null ? "" : JSON.stringify(one)));
  return html`<textarea class="code" ...${attrs} spellcheck=${false} style=${{ height: `${height}px` }} value=${text} onInput=${on((event) => take(event.target.value, true))} onBlur=${leave}></textarea>`;
}
