// What can be opened: work that was never saved, saved workflows, and those that come with nodegraph, each with a picture.
import { useEffect, useState } from "preact/hooks";
import { Fragment, html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";
import { placeOfDraft } from "./drafts.js";
import { chooseFile, openWorkflow, placeOfWorkflow } from "./opening.js";
import { Picture } from "./picture.js";
import { restoreDraft, strayDrafts } from "./session.js";

/** @import { App, Workflow } from "../types.d.ts" */
/** @typedef {{id: string, title: string, description?: string, digest: string, shipped: boolean, thumbnail?: string, modified: string}} Row */

/** Documents drawn in this page, by digest. @type {Map<string, Workflow>} */
const drawn = new Map();

/** `pick` is given a row instead of opening it. @param {{app: App, close(): void, pick?: (row: Row) => void}} props */
export function Gallery({ app, close, pick }) {
  const [rows, setRows] = useState(/** @type {Row[] | null} */ (null));
  const [drafts, setDrafts] = useState(/** @type {any[]} */ ([]));
  const [text, setText] = useState("");
  const load = () => app.toasts.attempt(async () => {
    setRows((await app.api.get("/api/workflows?limit=200")).workflows);
    setDrafts(pick ? [] : await strayDrafts(app, app.otherWindows));
  });
  useEffect(() => void load(), []);
  const fits = (/** @type {Row} */ row) => `${row.title} ${row.id} ${row.description ?? ""}`.toLowerCase().includes(text.toLowerCase());
  const own = rows?.filter((row) => !row.shipped && fits(row)) ?? [];
  const shipped = rows?.filter((row) => row.shipped && fits(row)) ?? [];
  const act = (/** @type {() => Promise<any>} */ work) => () => app.toasts.attempt(async () => ((await work()), load()));
  const open = (/** @type {Row} */ row) => (close(), pick ? pick(row) : app.toasts.attempt(() => openWorkflow(app, row.id)));
  /** @param {string} title @param {Row[]} list */
  const section = (title, list) => list.length > 0 && html`<section><h3>${title}</h3><ul class="workflows">${list.map((row) => html`<li key=${row.id}>
    <button type="button" class="card" onClick=${() => open(row)}><${Drawing} app=${app} row=${row} /><b>${row.title || row.id}</b><small>${row.description}</small></button>
    ${!row.shipped && !pick && html`<div class="row-actions"><${Small} icon="fork" title=${t("gallery.duplicate", { title: row.title || row.id })} run=${act(() => duplicate(app, row))} />
      <${Small} icon="pencil" title=${t("gallery.rename", { title: row.title || row.id })} run=${act(() => renameRow(app, row))} />
      <${Small} icon="trash" title=${t("gallery.delete", { title: row.title || row.id })} run=${act(() => deleteRow(app, row))} /></div>`}
  </li>`)}</ul></section>`;
  return html`<div class="gallery-body">
    <div class="gallery-tools"><input type="search" autofocus aria-label=${t("search")} placeholder=${t("search")} onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
      ${!pick && html`<${Fragment}><button type="button" onClick=${() => (close(), app.commands.run("document.new"))}><${Icon} name="add" /> ${t("tabs.new")}</button>
      <button type="button" onClick=${() => (close(), chooseFile(app))}><${Icon} name="open" /> ${t("documents.from_file")}</button></${Fragment}>`}</div>
    ${drafts.length > 0 && html`<section><h3>${t("drafts.left", { count: drafts.length })}</h3><ul class="drafts">${drafts.map((draft) => html`<li key=${draft.id}>
      <span><b>${draft.title || t("untitled")}</b> <small>${new Date(draft.at).toLocaleString()}</small></span>
      <button type="button" onClick=${act(async () => (await restoreDraft(app, draft), close()))}>${t("drafts.restore")}</button>
      <button type="button" onClick=${act(() => look(app, draft))}>${t("drafts.look")}</button>
      <button type="button" onClick=${act(() => app.api.delete(placeOfDraft(draft.id)))}>${t("delete")}</button></li>`)}</ul></section>`}
    ${section(t("gallery.own"), own)}${section(t("gallery.shipped"), shipped)}
    ${rows && own.length + shipped.length === 0 && html`<p>${t("gallery.nothing")}</p>`}
  </div>`;
}

/** @param {{icon: string, title: string, run(): void}} props */
const Small = ({ icon, title, run }) => html`<button type="button" class="plain" aria-label=${title} title=${title} onClick=${run}><${Icon} name=${icon} /></button>`;

/** What a workflow made last, or how its graph looks. @param {{app: App, row: Row}} props */
function Drawing({ app, row }) {
  const [json, setJson] = useState(drawn.get(row.digest));
  useEffect(() => {
    if (json || row.thumbnail) return;
    app.api.get(placeOfWorkflow(row.id)).then((found) => (drawn.set(row.digest, found.workflow), setJson(found.workflow)), () => {}); // without a picture it opens as well
  }, []);
  if (row.thumbnail) return html`<img class="drawing" src=${row.thumbnail} alt="" loading="lazy" />`;
  return html`<span class="drawing" aria-hidden="true">${json && html`<${Picture} app=${app} json=${json} label="" />`}</span>`;
}

/** @param {App} app @param {any} row */
async function look(app, row) {
  const { workflow } = await app.api.get(placeOfDraft(row.id));
  await app.dialogs.open(row.title || t("untitled"), Picture, { json: workflow, label: row.title }, { wide: true });
}

/** @param {App} app @param {Row} row */
async function duplicate(app, row) {
  const { workflow } = await app.api.get(placeOfWorkflow(row.id));
  await app.api.post("/api/workflows", { workflow }); // without an id it gets a free one
}

/** @param {App} app @param {Row} row */
async function renameRow(app, row) {
  const to = await app.dialogs.ask(t("gallery.new_id"), row.id);
  if (!to || to === row.id) return;
  const saved = await app.api.post(`${placeOfWorkflow(row.id)}/rename`, { to, base: row.digest });
  for (const tab of app.tabs.all.peek().filter((one) => one.file.peek()?.id === row.id)) {
    tab.file.value = { id: saved.id, digest: saved.digest };
    tab.elsewhere.value = ""; // that the old name is gone may have been told before
  }
}

/** @param {App} app @param {Row} row */
async function deleteRow(app, row) {
  const name = row.title || row.id;
  if (await app.dialogs.confirm(t("gallery.delete", { title: name }), t("gallery.delete_text"), t("delete"))) await app.api.delete(`${placeOfWorkflow(row.id)}?base=${row.digest}`);
}
