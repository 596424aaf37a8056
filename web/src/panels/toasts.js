// Messages that pass: what was done, what did not work.
import { signal } from "@preact/signals";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { words } from "../server/api.js";
import { t } from "../text/index.js";

/** @import { App, Toast } from "../types.d.ts" */
/** @typedef {ReturnType<typeof createToasts>} Toasts */

const STAY_MS = { info: 4000, error: 12000 };

export function createToasts() {
  const all = signal(/** @type {Toast[]} */ ([]));
  let last = 0;
  const drop = (/** @type {number} */ id) => void (all.value = all.peek().filter((one) => one.id !== id));
  /** @param {string} text @param {Toast["kind"]} [kind] @param {Toast["action"]} [action] */
  function show(text, kind = "info", action) {
    const id = ++last;
    all.value = [...all.peek().filter((one) => one.text !== text).slice(-3), { id, text, kind, action }];
    setTimeout(() => drop(id), STAY_MS[kind]);
  }
  return {
    all,
    drop,
    show,
    /** Do something that may go wrong, and say so if it does. @template T @param {() => Promise<T>} work @returns {Promise<T | undefined>} */
    async attempt(work) {
      try {
        return await work();
      } catch (error) {
        show(t("error", { reason: words(error) }), "error");
        return undefined;
      }
    },
  };
}

/** @param {{app: App}} props */
export const ToastList = ({ app }) => html`<div class="toasts">
  ${app.toasts.all.value.map((toast) => html`<div key=${toast.id} class=${`toast ${toast.kind}`} role=${toast.kind === "error" ? "alert" : "status"}>
    <span>${toast.text}</span>
    ${toast.action && html`<button type="button" onClick=${() => (toast.action?.run(), app.toasts.drop(toast.id))}>${toast.action.title}</button>`}
    <button type="button" class="plain" aria-label=${t("close")} onClick=${() => app.toasts.drop(toast.id)}><${Icon} name="close" /></button>
  </div>`)}
</div>`;
