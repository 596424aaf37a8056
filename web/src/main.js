// Where the parts are made and joined; nothing else.
import { signal } from "@preact/signals";
import { install as installCanvas } from "./canvas/index.js";
import { createCommands } from "./commands.js";
import { begin, install as installDocuments, openAny } from "./documents/index.js";
import { Above, TabStrip } from "./documents/strip.js";
import { install as installForm } from "./form/index.js";
import { openLink } from "./form/link.js";
import { html, render } from "./html.js";
import { listenToKeys } from "./keys.js";
import { createCatalog } from "./model/catalog.js";
import { install as installOutline } from "./outline/index.js";
import { install as installPalette } from "./palette/index.js";
import { createDialogs } from "./panels/dialogs.js";
import { createRegistry } from "./panels/registry.js";
import { Shell } from "./panels/shell.js";
import { createToasts } from "./panels/toasts.js";
import { install as installPreferences } from "./preferences/index.js";
import { install as installResults } from "./results/index.js";
import { RunBar, install as installRunning, showAsked } from "./running/index.js";
import { createApi, words } from "./server/api.js";
import { createEvents } from "./server/events.js";
import { createRuns } from "./server/runs.js";
import { createSettings } from "./settings.js";
import { createTabs } from "./tabs.js";
import { choose, language, t } from "./text/index.js";
import { install as installTimeline } from "./timeline/index.js";
import { install as installTools } from "./tools/index.js";

/** @import { App } from "./types.d.ts" */

async function start() {
  const settings = createSettings();
  await choose(settings.language.peek() || navigator.language.slice(0, 2));
  const api = createApi();
  const events = createEvents();
  const said = signal("");
  /** @type {App} */
  const app = {
    api,
    events,
    runs: createRuns(api, events),
    catalog: signal(createCatalog(await api.get("/api/nodes"))),
    settings,
    tabs: createTabs(),
    commands: createCommands(),
    panels: createRegistry(),
    views: createRegistry(),
    view: signal("graph"),
    open: { left: signal(""), right: signal(""), bottom: signal("") },
    dialogs: createDialogs(),
    toasts: createToasts(),
    announce: (text) => void (said.value = said.peek() === text ? `${text}\u00a0` : text), // said again, it is another text
    canvas: null,
    otherWindows: new Map(),
  };
  const parts = [installDocuments, installCanvas, installPalette, installRunning, installTimeline, installResults, installTools, installForm, installOutline,
    installPreferences];
  for (const install of parts) install(app);
  listenToKeys(app);
  events.connect();
  const page = /** @type {HTMLElement} */ (document.getElementById("page"));
  page.replaceChildren();
  render(html`<${Page} app=${app} said=${said} />`, page);
  await begin(app);
  await showAsked(app);
  await openLink(app);
  // for the tests, and for whoever looks from the console
  Object.assign(window, { nodegraph: Object.assign(Object.create(app), { ready: true, open: (/** @type {any} */ given) => openAny(app, given) }) });
}

/** @param {{app: App, said: {value: string}}} props */
const Page = ({ app, said }) => html`<${Shell} key=${language.value} app=${app} tabs=${TabStrip} bar=${RunBar} above=${Above} said=${said} />`;

start().catch((error) => {
  const page = /** @type {HTMLElement} */ (document.getElementById("page"));
  page.textContent = t("app.failed", { reason: words(error) });
  throw error;
});
