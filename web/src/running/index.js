// Running: the commands for it, and the bar's buttons.
import { Fragment, html } from "../html.js";
import { Icon } from "../icons.js";
import { later } from "../panels/later.js";
import { hasEnded } from "../server/runs.js";
import { t } from "../text/index.js";
import { follow } from "./following.js";
import { Progress } from "./progress.js";
import { forecast, run } from "./submitting.js";
import { watch } from "./watching.js";
import { showProblems } from "./wanting.js";

/** @import { App } from "../types.d.ts" */

export { run } from "./submitting.js";
export { showAsked, showJob } from "./following.js";

const MOST_RUNS = 100;

/** @param {App} app */
export function install(app) {
  const open = () => app.tabs.current.value !== null;
  const chosen = () => [...(app.tabs.current.value?.selection.value ?? [])].filter((id) => app.tabs.current.peek()?.graph.peek().nodes?.[id]);
  const atTop = () => open() && app.tabs.current.peek()?.scope.value === "" && chosen().length > 0;
  const toggle = (/** @type {"run_on_change" | "previews"} */ name) => {
    app.settings[name].value = !app.settings[name].peek();
    app.announce(t(app.settings[name].peek() ? "run.now_on" : "run.now_off", { what: t(`run.${name}`) }));
  };
  app.commands.add(
    { id: "run.all", title: "run.all", keys: ["Ctrl+Enter"], group: "run", when: open, run: () => run(app) },
    { id: "run.first", title: "run.first", keys: ["Shift+Ctrl+Enter"], group: "run", when: open, run: () => run(app, { first: true }) },
    { id: "run.here", title: "run.here", keys: ["Ctrl+Alt+R"], group: "run", when: atTop, run: () => run(app, { outputs: chosen() }) },
    { id: "run.many", title: "run.many", group: "run", when: open, run: () => runMany(app) },
    { id: "run.plan", title: "run.plan", group: "run", when: open, run: () => forecast(app) },
    { id: "run.cancel", title: "run.cancel", keys: ["Ctrl+Alt+Enter"], group: "run", when: () => currentJob(app) !== undefined, run: () => cancel(app) },
    { id: "run.on_change", title: "run.run_on_change", group: "run", run: () => toggle("run_on_change") },
    { id: "run.previews", title: "run.previews", group: "run", run: () => toggle("previews") },
    { id: "run.notify", title: "run.notify", group: "run", when: () => "Notification" in window, run: () => notify(app) },
    { id: "run.problems", title: "run.problems", group: "run", when: () => (app.tabs.current.value?.problems.value.length ?? 0) > 0, run: () => showProblems(app) },
    { id: "queue.open", title: "queue.open", keys: ["Ctrl+Alt+Q"], group: "run", run: () => void (app.open.right.value = app.open.right.peek() === "queue" ? "" : "queue") },
  );
  app.panels.add({ id: "queue", title: "queue.title", side: "right", icon: "queue", order: 50, component: later(() => import("./queue.js"), "QueuePanel") });
  watch(app);
  follow(app);
}

/** The job that the current tab shows, while it has not ended. @param {App} app */
export function currentJob(app) {
  const job = app.runs.get(app.tabs.current.value?.job.value ?? "");
  return job && !hasEnded(job.row.value) ? job : undefined;
}

/** @param {App} app */
const cancel = (app) => app.toasts.attempt(() => app.api.post(`/api/jobs/${currentJob(app)?.id}/cancel`));

/** @param {App} app */
async function runMany(app) {
  const count = Math.round(Number(await app.dialogs.ask(t("run.how_many"), "4")));
  if (count >= 1) await run(app, { count: Math.min(count, MOST_RUNS) });
}

/** Only here, where a person asked for it, may the browser ask. @param {App} app */
async function notify(app) {
  app.settings.notify.value = !app.settings.notify.peek() && (await Notification.requestPermission()) === "granted";
  app.toasts.show(t(app.settings.notify.peek() ? "run.now_on" : "run.now_off", { what: t("run.notify") }));
}

/** @param {{app: App}} props */
export function RunBar({ app }) {
  const job = currentJob(app);
  const tab = app.tabs.current.value;
  const wrong = tab?.problems.value.length ?? 0;
  return html`<div class="run-bar">
    ${wrong > 0 && html`<button type="button" class="plain wrong" onClick=${() => showProblems(app)}>${t("run.wrong", { count: wrong })}</button>`}
    ${job && html`<${Fragment}><${Progress} job=${job} />
      <button type="button" class="plain" onClick=${() => app.commands.run("run.cancel")}>${t("run.cancel")}</button></${Fragment}>`}
    <button type="button" class="main run" onClick=${() => app.commands.run("run.all")} title=${`${t("run.all")} (Ctrl+Enter)`}><${Icon} name="play" /> ${t("run.all")}</button>
  </div>`;
}
