// The frame of the page: the bar above, panels at the sides, the view in the middle.
import { useEffect, useErrorBoundary } from "preact/hooks";
import { Fragment, html } from "../html.js";
import { Icon } from "../icons.js";
import { words } from "../server/api.js";
import { t } from "../text/index.js";
import { DialogStack } from "./dialogs.js";
import { MainMenu } from "./menu.js";
import { ToastList } from "./toasts.js";

/** @import { App, Panel } from "../types.d.ts" */

/** `tabs` and `bar` stand in the bar, `above` above the view. @typedef {(props: {app: App}) => any} Part */

/** @param {{app: App, tabs: Part, bar: Part, above: Part, said: {value: string}}} props */
export function Shell({ app, tabs, bar, above, said }) {
  const view = app.views.find(app.view.value) ?? app.views.all.value[0];
  return html`<${Fragment}>
    <a class="skip" href="#main">${t("app.skip")}</a>
    <header class="bar" role="banner">
      <${MainMenu} app=${app} />
      <${tabs} app=${app} />
      <nav class="views" aria-label=${t("group.view")}>${app.views.all.value.map((one) => html`<button type="button" key=${one.id}
        aria-pressed=${one === view} title=${t(one.title)} onClick=${() => (app.view.value = one.id)}><${Icon} name=${one.icon} /><span class="wide-only">${t(one.title)}</span></button>`)}</nav>
      <${bar} app=${app} />
    </header>
    <div class="middle">
      <${Rail} app=${app} side="left" />
      <${Side} app=${app} side="left" />
      <main id="main" tabindex="-1">
        <${above} app=${app} />
        ${view && html`<${Room} app=${app} of=${view.component} key=${view.id} />`}
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

/** A view or a panel. What goes wrong in it stays in it, and ends with the document that it was about. @param {{app: App, of: Part}} props */
function Room({ app, of }) {
  const [error, again] = useErrorBoundary((/** @type {unknown} */ one) => console.error(one));
  const tab = app.tabs.current.value;
  useEffect(() => void (error && again()), [tab]);
  return error ? html`<p class="field-wrong" role="alert">${t("error", { reason: words(error) })}</p>` : html`<${of} app=${app} />`;
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
    <div class="side-body"><${Room} app=${app} of=${panel.component} key=${panel.id} /></div>
  </aside>`;
}
