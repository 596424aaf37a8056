// The history panel: the changes that can be undone, and what was saved before.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { words } from "../server/api.js";
import { t } from "../text/index.js";
import { Comparison } from "./comparison.js";
import { placeOfWorkflow } from "./opening.js";
import { Picture } from "./picture.js";
import { revision } from "./saving.js";
import { stepTo } from "./undoing.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */
/** @typedef {{id: string, number: number, digest: string, kind: string, at: string, title: string, nodes?: number}} Row */

/** @param {{app: App}} props */
export function History({ app }) {
  const tab = app.tabs.current.value;
  return tab && html`<${Undoable} app=${app} tab=${tab} /><${Revisions} app=${app} tab=${tab} key=${`${tab.key} ${tab.file.value?.digest}`} />`;
}

/** @param {{app: App, tab: Tab}} props */
function Undoable({ app, tab }) {
  const { undo, redo } = tab.store.history.value;
  const all = [...undo, ...redo.toReversed()];
  const rows = all.map((entry, index) => ({ entry, index: index + 1 })).slice(-60).toReversed();
  return html`<details open><summary>${t("history.changes")}</summary><ol class="history" reversed>
    ${rows.map(({ entry, index }) => html`<li key=${index}><button type="button" class="plain" aria-current=${index === undo.length ? "step" : undefined}
      onClick=${() => stepTo(app, tab, index)}>${entry.label} <small>${new Date(entry.at).toLocaleTimeString()}</small></button></li>`)}
    <li><button type="button" class="plain" aria-current=${undo.length === 0 ? "step" : undefined} onClick=${() => stepTo(app, tab, 0)}>${t("history.opened")}</button></li>
  </ol></details>`;
}

/** @param {{app: App, tab: Tab}} props */
function Revisions({ app, tab }) {
  const [rows, setRows] = useState(/** @type {Row[] | string | null} */ (null));
  const id = tab.file.value?.id;
  useEffect(() => {
    if (id) app.api.get(`${placeOfWorkflow(id)}/revisions`).then((found) => setRows(found.revisions.toReversed()), (error) => setRows(words(error)));
  }, []);
  if (!id || Array.isArray(rows) && !rows.length) return html`<p class="dim">${t("history.none")}</p>`;
  if (!rows || typeof rows === "string") return html`<p role="status">${rows ?? t("app.loading")}</p>`;
  const look = (/** @type {Row} */ row) => app.dialogs.open(t("history.compare"), Between, { tab, id, rows, first: row.id }, { wide: true });
  return html`<h3>${t("history.revisions")}</h3><ol class="history">${rows.map((row) => html`<li key=${row.id}>
    <span>${new Date(row.at).toLocaleString()} <small>${t(`history.${row.kind}`)}${row.digest === tab.file.value?.digest ? `, ${t("history.current")}` : ""}</small></span>
    <span><button type="button" onClick=${() => look(row)}>${t("history.look")}</button>
    <button type="button" onClick=${() => app.toasts.attempt(() => restore(app, tab, id, row))}>${t("history.restore")}</button></span></li>`)}</ol>`;
}

/** @param {App} app @param {Tab} tab @param {string} id @param {Row} row */
async function restore(app, tab, id, row) {
  const workflow = await revision(app, id, row.id);
  if (tab.store.change(t("history.restored", { number: row.number }), () => workflow)) app.toasts.show(t("history.restored_text"));
}

/** Two states of a document beside each other: any two revisions, or one and the present. @param {{app: App, tab: Tab, id: string, rows: Row[], first: string}} props */
function Between({ app, tab, id, rows, first }) {
  const [ends, setEnds] = useState({ before: first, after: "now" });
  const [found, setFound] = useState(/** @type {{before: Workflow, after: Workflow} | string | null} */ (null));
  useEffect(() => {
    let wanted = true;
    const get = (/** @type {string} */ end) => (end === "now" ? tab.store.json.peek() : revision(app, id, end));
    Promise.all([get(ends.before), get(ends.after)]).then(([before, after]) => wanted && setFound({ before, after }), (error) => wanted && setFound(words(error)));
    return () => void (wanted = false);
  }, [ends]);
  const select = (/** @type {"before" | "after"} */ side) => html`<label>${t(`history.${side}`)} <select value=${ends[side]} onChange=${(/** @type {any} */ event) => setEnds({ ...ends, [side]: event.target.value })}>
    <option value="now">${t("history.now")}</option>${rows.map((row) => html`<option key=${row.id} value=${row.id}>${row.number}: ${new Date(row.at).toLocaleString()}</option>`)}</select></label>`;
  return html`<div class="between">${select("before")} ${select("after")}</div>
    ${!found || typeof found === "string" ? html`<p role="status">${found ?? t("app.loading")}</p>`
      : ends.before === ends.after ? html`<${Picture} app=${app} json=${found.before} label=${t("history.look")} />`
      : html`<${Comparison} app=${app} before=${found.before} after=${found.after} />`}`;
}
