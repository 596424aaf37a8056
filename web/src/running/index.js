// Running: sending the document to the server, and the bar's button for it.
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { ApiError } from "../server/api.js";
import { hasEnded } from "../server/runs.js";
import { t } from "../text/index.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  app.commands.add(
    { id: "run.all", title: "run.all", keys: ["Ctrl+Enter"], group: "run", when: () => app.tabs.current.value !== null, run: () => run(app) },
    { id: "run.cancel", title: "run.cancel", keys: ["Ctrl+Alt+Enter"], group: "run", when: () => currentJob(app) !== undefined, run: () => cancel(app) },
  );
}

/** The job that the current tab shows, while it has not ended. @param {App} app */
export function currentJob(app) {
  const job = app.runs.get(app.tabs.current.value?.job.value ?? "");
  return job && !hasEnded(job.row.value) ? job : undefined;
}

/** Queue the document. @param {App} app @param {{outputs?: string[]}} [what] */
export async function run(app, { outputs } = {}) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  try {
    const job = await app.api.post("/api/jobs", { workflow: tab.store.json.peek(), ...(outputs ? { outputs } : {}) });
    app.runs.add(job.id, { title: tab.title.peek() });
    tab.job.value = job.id;
    tab.problems.value = [];
    app.announce(t("run.sent"));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    tab.problems.value = error.problems;
    app.toasts.show(error.message || t("run.refused"), "error");
  }
}

/** @param {App} app */
const cancel = (app) => app.toasts.attempt(() => app.api.post(`/api/jobs/${currentJob(app)?.id}/cancel`));

/** @param {{app: App}} props */
export function RunBar({ app }) {
  const job = currentJob(app);
  return html`<div class="run-bar">
    ${job && html`<button type="button" class="plain" onClick=${() => app.commands.run("run.cancel")}>${t("run.cancel")}</button>`}
    <button type="button" class="main run" onClick=${() => app.commands.run("run.all")} title=${`${t("run.all")} (Ctrl+Enter)`}><${Icon} name="play" /> ${t("run.all")}</button>
  </div>`;
}
