// Dialogs, one above the other. The browser's own <dialog> keeps the focus inside and gives it back.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";

/** @import { App } from "../types.d.ts" */
/** `body` is a component; it is given `close(answer)`. @typedef {{id: number, title: string, body: (props: any) => any, props: any, wide: boolean, at?: [number, number],
 *   answer(value: any): void, may?: () => boolean | Promise<boolean>}} Dialog */
/** @typedef {ReturnType<typeof createDialogs>} Dialogs */

export function createDialogs() {
  const all = signal(/** @type {Dialog[]} */ ([]));
  let last = 0;
  return {
    all,
    /** Show a dialog and wait for its answer; undefined when it was closed. @param {string} title @param {(props: any) => any} body
     * @param {Record<string, any>} [props] @param {{wide?: boolean, at?: [number, number], may?: Dialog["may"]}} [options] `at`: small and without a head, at this point
     * of the page. `may`: whether it may be closed without an answer. @returns {Promise<any>} */
    open: (title, body, props = {}, { wide = false, at, may } = {}) => new Promise((resolve) => {
      const id = ++last;
      const answer = (/** @type {any} */ value) => {
        if (!all.peek().some((one) => one.id === id)) return;
        all.value = all.peek().filter((one) => one.id !== id);
        resolve(value);
      };
      all.value = [...all.peek(), { id, title, body, props, wide, at, answer, may }];
    }),
    /** Ask for one line of text. @param {string} title @param {string} [value] @returns {Promise<string | undefined>} */
    ask(title, value = "") {
      return this.open(title, AskBody, { value, label: title });
    },
    /** Ask yes or no. @param {string} title @param {string} text @param {string} [yes] @returns {Promise<boolean>} */
    async confirm(title, text, yes = t("ok")) {
      return (await this.open(title, ConfirmBody, { text, yes })) === true;
    },
  };
}

/** @param {{value: string, label: string, close(answer?: string): void}} props */
function AskBody({ value, label, close }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  return html`<form onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), close(field.current?.value ?? ""))}>
    <input ref=${field} type="text" value=${value} aria-label=${label} autofocus onFocus=${(/** @type {any} */ event) => event.target.select()} />
    <div class="actions"><button type="button" onClick=${() => close()}>${t("cancel")}</button><button class="main">${t("ok")}</button></div>
  </form>`;
}

/** @param {{text: string, yes: string, close(answer: boolean): void}} props */
const ConfirmBody = ({ text, yes, close }) => html`<p>${text}</p>
  <div class="actions"><button type="button" onClick=${() => close(false)}>${t("cancel")}</button>
  <button type="button" class="main" autofocus onClick=${() => close(true)}>${yes}</button></div>`;

/** @param {{app: App}} props */
export const DialogStack = ({ app }) => app.dialogs.all.value.map((dialog) => html`<${Shown} key=${dialog.id} app=${app} dialog=${dialog} />`);

/** @param {{app: App, dialog: Dialog}} props */
function Shown({ app, dialog }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const here = useRef(true);
  useLayoutEffect(() => {
    const box = /** @type {HTMLDialogElement} */ (element.current);
    box.showModal();
    if (dialog.at) {
      const [x, y] = dialog.at;
      box.style.left = `${Math.max(4, Math.min(x, innerWidth - box.offsetWidth - 4))}px`;
      box.style.top = `${Math.max(4, Math.min(y, innerHeight - box.offsetHeight - 4))}px`;
    }
    return () => {
      here.current = false; // another language draws the page anew: that is no answer
      box.close(); // it gives the focus back
    };
  }, []);
  const leave = async () => (await (dialog.may?.() ?? true)) && dialog.answer(undefined);
  const cancel = (/** @type {Event} */ event) => dialog.may && event.target === element.current && (event.preventDefault(), leave());
  return html`<dialog ref=${element} class=${dialog.at ? "at" : dialog.wide ? "wide" : ""} aria-label=${dialog.title} onClose=${() => here.current && dialog.answer(undefined)} onCancel=${cancel}
      onClick=${(/** @type {Event} */ event) => event.target === element.current && leave()}>
    <div class="dialog-body">
      ${!dialog.at && html`<header><h2>${dialog.title}</h2><button type="button" class="plain" aria-label=${t("close")} onClick=${leave}><${Icon} name="close" /></button></header>`}
      <${dialog.body} app=${app} ...${dialog.props} close=${dialog.answer} />
    </div>
  </dialog>`;
}
