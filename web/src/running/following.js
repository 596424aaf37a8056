// Which job a tab shows: the one it sent, or after a reload and on another device the one its document ran last. And what a page says of
// it while nobody looks: its title, a notification.
import { effect, untracked } from "@preact/signals";
import { createTab } from "../tabs.js";
import { hasEnded } from "../server/runs.js";
import { t } from "../text/index.js";

/** @import { App, Job, Tab } from "../types.d.ts" */

const LONG_MS = 10000;

/** @param {App} app */
export function follow(app) {
  /** @type {WeakSet<Tab>} */
  const seen = new WeakSet();
  effect(() => {
    const tabs = app.tabs.all.value;
    untracked(() => {
      for (const tab of tabs.filter((one) => !seen.has(one))) {
        seen.add(tab);
        find(app, tab).catch(() => {}); // without it nothing is shown on the nodes
      }
    });
  });
  app.events.on((message) => {
    if (message.type !== "job_queued" && message.type !== "job_started") return;
    const tab = app.tabs.all.peek().find((one) => one.key === message.client);
    const now = tab && app.runs.get(tab.job.peek());
    if (tab && message.job && app.runs.get(message.job) && (!now || hasEnded(now.row.peek())) && (now?.id ?? "") < message.job) tab.job.value = message.job;
  });
  app.runs.onEnd((job) => {
    ended(app, job);
    app.runs.forget(new Set(app.tabs.all.peek().map((tab) => tab.job.peek())));
  });
  effect(() => {
    const tab = app.tabs.current.value;
    const job = app.runs.get(tab?.job.value ?? "");
    const { done, total } = job?.row.value.state === "running" ? job.progress.value : { done: 0, total: 0 };
    const title = `${total ? `${Math.floor((100 * done) / total)}% ` : ""}${tab ? `${tab.title.value} - ` : ""}nodegraph`;
    if (document.title !== title) document.title = title;
  });
}

/** The job that a tab's document runs, or ran last. @param {App} app @param {Tab} tab */
async function find(app, tab) {
  const [document, kept] = [tab.store.json.peek().id, tab.job.peek()];
  if (!document || app.runs.get(kept)) return;
  tab.job.value = ""; // until what it names is known here
  const { jobs } = await app.api.get(`/api/jobs?limit=20&document=${encodeURIComponent(document)}`);
  const own = jobs.filter((/** @type {any} */ row) => row.client === tab.key);
  const running = (/** @type {any} */ one) => one.state === "running";
  const row = own.find(running) ?? jobs.find((/** @type {any} */ one) => one.id === kept) ?? jobs.find(running) ?? own[0] ?? jobs[0];
  if (!row || tab.job.peek()) return;
  await app.runs.follow(row.id);
  if (!tab.job.peek()) tab.job.value = row.id;
}

/** The job that the page's address names. @param {App} app */
export async function showAsked(app) {
  const id = new URLSearchParams(location.search).get("job");
  if (id) await app.toasts.attempt(() => showJob(app, id));
}

/** Show a job on its graph: in the tab that sent it or has its document, else in one of its own. @param {App} app @param {string} id */
export async function showJob(app, id) {
  const job = await app.runs.follow(id);
  const { client, document } = job.row.peek();
  const all = app.tabs.all.peek();
  const tab = all.find((one) => one.key === client) ?? all.find((one) => document && one.store.json.peek().id === document)
    ?? app.tabs.open(createTab(await app.api.get(`/api/jobs/${id}/workflow`)));
  app.tabs.current.value = tab;
  tab.job.value = id;
  app.view.value = "graph";
}

/** @param {App} app @param {Job} job */
function ended(app, job) {
  const { state, title, client, started, finished } = job.row.peek();
  if (!app.tabs.all.peek().some((tab) => tab.key === client) || state === "cancelled") return;
  const text = t(`run.${state}`, { title: title || t("untitled") });
  const problem = job.problems.peek()[0];
  if (state === "failed") app.toasts.show(problem ? `${text}: ${problem.message}` : text, "error", { title: t("queue.show"), run: () => void showJob(app, job.id) });
  else app.announce(text);
  const long = started && finished && Date.parse(finished) - Date.parse(started) >= LONG_MS;
  if (long && document.hidden && app.settings.notify.peek() && Notification.permission === "granted") new Notification(text, { tag: job.id });
}
