// The frame of the page: the bar above, panels at the sides, the view in the middle.
import { Fragment, html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";
import { DialogStack } from "./dialogs.js";
import { MainMenu } from "./menu.js";
import { ToastList } from "./toasts.js";

/** @import { App, Panel } from "../types.d.ts" */

/** @param {{app: App, bar: (props: {app: App}) => any, said: {value: string}}} props */
export function Shell({ app, bar, said }) {
  const view = app.views.find(app.view.value) ?? app.views.all.value[0];
  return html`<${Fragment}>
    <a class="skip" href="#main">${t("app.skip")}</a>
    <header class="bar" role="banner">
      <${MainMenu} app=${app} />
      <${TabStrip} app=${app} />
      <nav class="views" aria-label=${t("group.view")}>${app.views.all.value.map((one) => html`<button type="button" key=${one.id}
        aria-pressed=${one === view} title=${t(one.title)} onClick=${() => (app.view.value = one.id)}><${Icon} name=${one.icon} /><span class="wide-only">${t(one.title)}</span></button>`)}</nav>
      <${bar} app=${app} />
    </header>
    <div class="middle">
      <${Rail} app=${app} side="left" />
      <${Side} app=${app} side="left" />
      <main id="main" tabindex="-1">
        ${view && html`<${view.component} app=${app} key=${view.id} />`}
        <${Side} app=${app} side="bottom" />
      </main>
      <${Side} app=${app} side="right" />
      <${Rail} app=${app} side="right" />
    </div>
    ${app.events.connected.value === false && html`<p class="offline" role="status">${t("connection.lost")}</p>`}
    <${ToastList} app=${app} />
    <${DialogStack} app=${app} />
    <p class="only-read" role="status" aria-live="polite">${said.value}</p>
  </${Fragment}>`;
}

/** @param {{app: App}} props */
function TabStrip({ app }) {
  const current = app.tabs.current.value;
  return html`<div class="tabs" role="tablist" aria-label=${t("tabs.label")}>
    ${app.tabs.all.value.map((tab) => html`<div key=${tab.key} class="tab" role="presentation">
      <button type="button" role="tab" aria-selected=${tab === current} onClick=${() => (app.tabs.current.value = tab)}>
        ${tab.title.value}${tab.store.dirty.value && html`<span class="dot" title=${t("tabs.unsaved")} aria-label=${t("tabs.unsaved")}>●</span>`}</button>
      <button type="button" class="plain close" aria-label=${t("tabs.close", { title: tab.title.value })} onClick=${() => app.commands.run("document.close", tab)}><${Icon} name="close" /></button>
    </div>`)}
    <button type="button" class="plain" aria-label=${t("tabs.new")} title=${t("tabs.new")} onClick=${() => app.commands.run("document.new")}><${Icon} name="add" /></button>
  </div>`;
}

/** @param {App} app @param {Panel["side"]} side */
const panelsAt = (app, side) => app.panels.all.value.filter((panel) => panel.side === side);

/** The buttons that open a side's panels. The bottom's stand on the left. @param {{app: App, side: "left" | "right"}} props */
function Rail({ app, side }) {
  const panels = [...panelsAt(app, side), ...(side === "left" ? panelsAt(app, "bottom") : [])];
  return html`<nav class=${`rail ${side}`} aria-label=${t(`panel.${side}`)}>${panels.map((panel) => {
    const open = app.open[panel.side];
    return html`<button type="button" key=${panel.id} class=${panel.side} aria-pressed=${open.value === panel.id} aria-label=${t(panel.title)} title=${t(panel.title)}
      onClick=${() => (open.value = open.value === panel.id ? "" : panel.id)}><${Icon} name=${panel.icon} /></button>`;
  })}</nav>`;
}

/** @param {{app: App, side: Panel["side"]}} props */
function Side({ app, side }) {
  const panel = panelsAt(app, side).find((one) => one.id === app.open[side].value);
  if (!panel) return null;
  return html`<aside class=${`side ${side}`} aria-label=${t(panel.title)} data-panel=${panel.id}>
    <header><h2>${t(panel.title)}</h2><button type="button" class="plain" aria-label=${t("panel.close")} onClick=${() => (app.open[side].value = "")}><${Icon} name="close" /></button></header>
    <div class="side-body"><${panel.component} app=${app} /></div>
  </aside>`;
}
