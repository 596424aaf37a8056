// The tabs of the open documents, and the bars above the canvas: where one is, what was saved elsewhere, what a document wants.
import { useState } from "preact/hooks";
import { Fragment, html } from "../html.js";
import { Icon } from "../icons.js";
import { shownKeys } from "../keys.js";
import { later } from "../panels/later.js";
import { missing } from "../tabs.js";
import { t } from "../text/index.js";
import { placeOfWorkflow } from "./opening.js";
import { rename, takeOver } from "./saving.js";
import { leaveTo } from "./subgraphs.js";

/** @import { App, Tab } from "../types.d.ts" */

const StartPage = later(() => import("./gallery.js"), "Gallery");

/** @param {{app: App}} props */
export function TabStrip({ app }) {
  const { all, current } = app.tabs;
  const [named, setNamed] = useState("");
  /** @param {KeyboardEvent} event @param {Tab} tab */
  function keyed(event, tab) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const tabs = all.peek();
    if (event.key === "F2") setNamed(tab.key);
    else if (event.key === "Delete") app.commands.run("document.close", tab);
    else if (by && event.altKey) app.tabs.move(tab, by);
    else if (by) current.value = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length];
    else if (event.key === "Home" || event.key === "End") current.value = tabs.at(event.key === "Home" ? 0 : -1) ?? null;
    else return;
    event.preventDefault();
    const strip = /** @type {HTMLElement} */ (event.currentTarget).closest(".tabs");
    requestAnimationFrame(() => /** @type {HTMLElement | null} */ (strip?.querySelector("[aria-selected=true]"))?.focus());
  }
  return html`<div class="tabs"><div role="tablist" aria-label=${t("tabs.label")}>
    ${all.value.map((tab) => tab.key === named
      ? html`<${TitleField} key=${tab.key} tab=${tab} done=${() => setNamed("")} />`
      : html`<button key=${tab.key} type="button" role="tab" class="tab" aria-selected=${tab === current.value} tabindex=${tab === current.value ? 0 : -1} draggable
          title=${t("tabs.rename_hint")} onClick=${() => (current.value = tab)} onDblClick=${() => setNamed(tab.key)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => keyed(event, tab)}
          onAuxClick=${(/** @type {MouseEvent} */ event) => event.button === 1 && app.commands.run("document.close", tab)}
          onDragStart=${(/** @type {any} */ event) => event.dataTransfer.setData("application/x-nodegraph-tab", tab.key)} onDragOver=${(/** @type {Event} */ event) => event.preventDefault()}
          onDrop=${(/** @type {any} */ event) => dropped(event, tab)}>
          <span class="tab-title">${tab.title.value}</span>${tab.store.dirty.value && html`<span class="dot" role="img" title=${t("tabs.unsaved")} aria-label=${t("tabs.unsaved")}>●</span>`}
        </button>`)}</div>
    ${current.value && html`<button type="button" class="plain close" aria-label=${t("tabs.close", { title: current.value.title.value })} title=${t("tabs.close", { title: current.value.title.value })}
      onClick=${() => app.commands.run("document.close", current.peek())}><${Icon} name="close" /></button>`}
    <button type="button" class="plain" aria-label=${t("tabs.new")} title=${t("tabs.new")} onClick=${() => app.commands.run("document.new")}><${Icon} name="add" /></button>
    <${Keeping} tab=${current.value} />
  </div>`;

  /** @param {any} event @param {Tab} at */
  function dropped(event, at) {
    const tab = all.peek().find((one) => one.key === event.dataTransfer.getData("application/x-nodegraph-tab"));
    if (tab) app.tabs.move(tab, all.peek().indexOf(at) - all.peek().indexOf(tab));
  }
}

/** @param {{tab: Tab, done(): void}} props */
const TitleField = ({ tab, done }) => html`<input class="tab-field" ref=${(/** @type {HTMLInputElement | null} */ field) => field && document.activeElement !== field && field.select()}
  value=${tab.title.peek()} aria-label=${t("documents.name")} onBlur=${done} onChange=${(/** @type {any} */ event) => rename(tab, event.target.value.trim())}
  onKeyDown=${(/** @type {any} */ event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") event.target.value = tab.title.peek();
    if (event.key === "Enter" || event.key === "Escape") event.target.blur();
  }} />`;

/** Where unsaved work is. @param {{tab: Tab | null}} props */
const Keeping = ({ tab }) => {
  const kept = tab?.kept.value;
  return kept ? html`<span class=${`keeping ${kept}`} role="status" title=${t(`kept.${kept}_long`)}>${t(`kept.${kept}`)}</span>` : null;
};

/** What stands above the canvas; without a document, what can be opened. @param {{app: App}} props */
export function Above({ app }) {
  const tab = app.tabs.current.value;
  if (!tab) return html`<div class="start-page"><h1>${t("start.title")}</h1><${StartPage} app=${app} close=${() => {}} /></div>`;
  return html`<${Fragment}><${Crumbs} app=${app} tab=${tab} /><${Elsewhere} app=${app} tab=${tab} key=${tab.key} /><${Wants} app=${app} tab=${tab} /></${Fragment}>`;
}

/** @param {{app: App, tab: Tab}} props */
function Crumbs({ app, tab }) {
  const path = tab.path.value;
  if (!path.length) return null;
  const { subgraphs } = tab.store.json.value;
  return html`<nav class="crumbs" aria-label=${t("subgraph.where")}>
    <button type="button" class="plain" aria-label=${t("subgraph.leave")} title=${`${t("subgraph.leave")} (${shownKeys("Ctrl+ArrowUp")})`} onClick=${() => app.commands.run("subgraph.leave")}><${Icon} name="up" /></button>
    <ol><li><button type="button" class="plain" onClick=${() => leaveTo(app, tab, 0)}>${tab.title.value}</button></li>
    ${path.map((step, index) => html`<li key=${index}><button type="button" class="plain" aria-current=${index === path.length - 1 ? "location" : undefined}
      onClick=${() => leaveTo(app, tab, index + 1)}>${subgraphs?.[step.scope]?.title || step.scope}</button></li>`)}</ol></nav>`;
}

/** @param {{app: App, tab: Tab}} props */
function Elsewhere({ app, tab }) {
  const [hidden, hide] = useState("");
  const found = tab.elsewhere.value;
  if (!found || hidden === found) return null;
  const attempt = (/** @type {() => Promise<any>} */ work) => () => app.toasts.attempt(work);
  return html`<div class="banner" role="status"><span>${t(found === "gone" ? "elsewhere.gone" : "elsewhere.saved")}</span>
    ${found !== "gone" && html`<${Fragment}>
      <button type="button" onClick=${attempt(() => takeOver(app, tab))}>${t("elsewhere.take")}</button>
      <button type="button" onClick=${attempt(() => compare(app, tab))}>${t("elsewhere.compare")}</button></${Fragment}>`}
    <button type="button" onClick=${() => hide(found)}>${t("elsewhere.keep")}</button></div>`;
}

/** @param {App} app @param {Tab} tab */
async function compare(app, tab) {
  const [found, { Comparison }] = await Promise.all([app.api.get(placeOfWorkflow(tab.file.peek()?.id ?? "")), import("./comparison.js")]);
  await app.dialogs.open(t("elsewhere.compare_title"), Comparison, { before: tab.store.json.peek(), after: found.workflow }, { wide: true });
}

/** What a document that came from outside reaches for. @param {{app: App, tab: Tab}} props */
function Wants({ app, tab }) {
  const wants = missing(tab);
  if (!wants.length) return null;
  const names = wants.map((want) => `${t(`want.${want.kind}`)} ${want.name}`).join(", ");
  const file = tab.file.value;
  const allow = () => app.toasts.attempt(async () => {
    tab.wants.value = (await app.api.post(`${placeOfWorkflow(file?.id ?? "")}/accept`, { wants })).wants;
  });
  return html`<div class="banner wants" role="status"><span>${t("wants.text", { names })}</span>
    ${file ? html`<button type="button" onClick=${allow}>${t("wants.allow")}</button>` : html`<small>${t("wants.save_first")}</small>`}</div>`;
}
