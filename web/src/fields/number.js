// A number: typed in (also as 512*1.5), stepped by the arrow keys, or dragged sideways over its label.
import { html } from "../html.js";
import { t } from "../text/index.js";
import { on, useDraft } from "./parts.js";

/** @import { ControlProps, Field } from "./index.js" */

/** What a sum says: + - * / and brackets; undefined where it is none. @param {string} text @returns {number | undefined} */
export function calculated(text) {
  const parts = text.replace(/,/g, ".").match(/(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[-+*/()]|\S/gi) ?? [];
  let place = 0;
  /** @returns {number} */
  const one = () => {
    const part = parts[place++];
    if (part === "-") return -one();
    if (part === "+") return one();
    if (part !== "(") return /^[.\d]/.test(part ?? "") ? Number(part) : NaN;
    const inside = sum();
    return parts[place++] === ")" ? inside : NaN;
  };
  /** @param {() => number} operand @param {string} low @param {string} high */
  const chain = (operand, low, high) => {
    let left = operand();
    while (parts[place] === low || parts[place] === high) {
      const sign = parts[place++];
      const right = operand();
      left = sign === "*" ? left * right : sign === "/" ? left / right : sign === "+" ? left + right : left - right;
    }
    return left;
  };
  /** @returns {number} */
  const sum = () => chain(() => chain(one, "*", "/"), "+", "-");
  const value = sum();
  return place === parts.length && Number.isFinite(value) ? value : undefined;
}

/** The number that a text says. Throws what to say where the field does not take it. @param {Field} field @param {string} text */
export function numberIn(field, text) {
  const { minimum = -Infinity, maximum = Infinity, whole, schema } = field;
  if (!text.trim()) {
    if (field.nullable) return null;
    throw new Error(t("number.empty"));
  }
  const value = calculated(text);
  if (value === undefined) throw new Error(t("number.none", { text }));
  if (whole && !Number.isInteger(value)) throw new Error(t("number.whole"));
  if (value < minimum || value === schema.exclusiveMinimum) throw new Error(t("number.least", { minimum }));
  if (value > maximum || value === schema.exclusiveMaximum) throw new Error(t("number.most", { maximum }));
  return value;
}

/** @param {any} value */
const shown = (value) => (value === null || value === undefined ? "" : String(value));

/** @param {ControlProps} props */
export function NumberField({ input, field, value, change, where, attrs, say, grip, mixed }) {
  const { minimum = -Infinity, maximum = Infinity, step } = field;
  const now = Number.isFinite(value) ? value : Math.min(maximum, Math.max(minimum, 0)); // whatever a document may say
  const { text, draft, take, drop, back, leave, setDraft } = useDraft(mixed ? null : value, (typed) => numberIn(field, typed), change, say, shown);
  const held = (/** @type {number} */ wanted) => Number(Math.min(maximum, Math.max(minimum, field.whole ? Math.round(wanted) : wanted)).toFixed(6));
  const pace = (/** @type {any} */ event) => (event.ctrlKey || event.metaKey ? 10 * step : event.shiftKey ? (field.whole ? 1 : step / 10) : step);
  const press = on((event) => {
    if (event.key === "Escape" && draft !== null) back(), drop();
    else if (event.key === "Enter") take(text);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") change(held(now + (event.key === "ArrowUp" ? 1 : -1) * pace(event)), { merge: true });
    else return;
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) event.preventDefault();
    if (event.key !== "Enter") event.stopPropagation();
  });
  grip.current = on((event) => {
    if (event.button !== 0) return;
    const label = event.currentTarget;
    let [x, at, moved] = [event.clientX, now, false];
    const stop = new AbortController();
    label.setPointerCapture(event.pointerId);
    label.addEventListener("pointermove", on((move) => {
      if (!moved && Math.abs(move.clientX - event.clientX) < 4) return;
      moved = true;
      at = Math.min(maximum, Math.max(minimum, at + ((move.clientX - x) / 4) * pace(move)));
      x = move.clientX;
      setDraft(shown(held(at)));
    }), stop);
    for (const name of ["pointerup", "pointercancel"]) label.addEventListener(name, () => {
      stop.abort();
      if (!moved) return;
      if (name === "pointerup") take(shown(held(at)));
      else drop();
    }, stop);
    label.addEventListener("click", on((click) => moved && click.preventDefault()), { once: true });
  });
  const range = where !== "node" && Number.isFinite(minimum) && Number.isFinite(maximum) && (field.schema["x-slider"] || (maximum - minimum) / step <= 1000);
  return html`${range && html`<input type="range" min=${minimum} max=${maximum} step=${step} value=${now} aria-label=${input.title}
      onInput=${on((event) => change(event.target.valueAsNumber, { merge: true }))} />`}
    <input type="text" inputmode="decimal" role="spinbutton" aria-valuenow=${Number.isFinite(value) ? value : undefined} aria-valuemin=${field.minimum} aria-valuemax=${field.maximum} autocomplete="off"
      ...${attrs} placeholder=${attrs.placeholder ?? (field.nullable ? t("number.unset") : undefined)} value=${text} onKeyDown=${press} onInput=${on((event) => take(event.target.value, true))}
      onBlur=${leave} />`;
}
