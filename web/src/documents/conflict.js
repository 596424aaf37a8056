// Both sides changed the same: each place with what is here and what was saved elsewhere, to choose from.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { put } from "../model/edit.js";
import { t } from "../text/index.js";
import { Comparison, placeText, valueText } from "./comparison.js";

/** @import { App, Workflow } from "../types.d.ts" */
/** @typedef {{kind: string, path: string[], message: string, base?: any, yours?: any, theirs?: any, kept_as?: string}} Conflict */

/** Where taking theirs is setting one place in the document. */
const CHOOSABLE = ["both_changed", "both_added", "deleted_and_used"];

/** A document with another value at a path; undefined takes it out. @param {any} json @param {string[]} path @param {any} value @returns {any} */
export const setAt = (json, [name, ...rest], value) => {
  if (Array.isArray(json)) return rest.length ? json.with(Number(name), setAt(json[Number(name)], rest, value)) : json.with(Number(name), value);
  return put(json ?? {}, name, rest.length ? setAt(json?.[name], rest, value) : value);
};

/** @param {{app: App, merged: {workflow: Workflow, conflicts: Conflict[]}, base: Workflow, yours: Workflow, theirs: Workflow, close(json?: Workflow): void}} props */
export function ConflictBody({ app, merged, base, yours, theirs, close }) {
  const [choice, choose] = useState(/** @type {Record<number, "yours" | "theirs">} */ ({}));
  const result = () => merged.conflicts.reduce((json, { path, theirs: value }, index) => (choice[index] === "theirs" ? setAt(json, path, value) : json), merged.workflow);
  return html`<form class="conflicts" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), close(result()))}>
    <p>${t("conflict.text", { count: merged.conflicts.length })}</p>
    ${merged.conflicts.map((conflict, index) => html`<fieldset key=${index}><legend>${placeText(conflict.path)}</legend>
      ${CHOOSABLE.includes(conflict.kind)
        ? /** @type {const} */ (["yours", "theirs"]).map((side) => html`<label key=${side}><input type="radio" name=${`conflict${index}`} checked=${(choice[index] ?? "yours") === side}
            onChange=${() => choose({ ...choice, [index]: side })} /><b>${t(`conflict.${side}`)}</b> <span>${valueText(conflict[side])}</span></label>`)
        : html`<p>${conflict.message}</p>`}</fieldset>`)}
    <details><summary>${t("conflict.theirs_all")}</summary><${Comparison} app=${app} before=${base} after=${theirs} /></details>
    <details><summary>${t("conflict.yours_all")}</summary><${Comparison} app=${app} before=${base} after=${yours} /></details>
    <div class="actions"><button type="button" onClick=${() => close()}>${t("cancel")}</button><button class="main">${t("conflict.apply")}</button></div>
  </form>`;
}
