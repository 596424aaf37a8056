// Sending the document to the server: all of it or up to some nodes, once or often, after a person accepted what it wants.
import { drawSeeds } from "../fields/seed.js";
import { ApiError } from "../server/api.js";
import { duration } from "../node/node-run.js";
import { hasEnded } from "../server/runs.js";
import { missing } from "../tabs.js";
import { t } from "../text/index.js";
import { askFor } from "./wanting.js";
import { needed, withNewSeeds } from "./needing.js";

/** @import { App, Tab, Workflow } from "../types.d.ts" */
/** `outputs`: only these nodes and what they need. `first`: before all that waits. `count`: how often, each with new seeds. `quiet`: nobody
 * pressed a button: nothing is asked or said. @typedef {{outputs?: string[], first?: boolean, count?: number, quiet?: boolean}} What */

/** Queue the current document; gives the ids of the jobs. @param {App} app @param {What} [what] @param {Tab | null} [tab] */
export async function run(app, what = {}, tab = app.tabs.current.peek()) {
  /** @type {string[]} */
  const made = [];
  if (!tab || !(await mayRun(app, tab, what))) return made;
  if (!what.quiet) drawSeeds(tab);
  const drawn = tab.store.json.peek();
  for (let number = 0; number < (what.count ?? 1); number++) {
    const json = number ? withNewSeeds(app.catalog.peek(), drawn) : drawn;
    const id = await submit(app, tab, json, what);
    if (!id) break;
    if (!number) tab.job.value = id;
    made.push(id);
  }
  if (!made.length) return made;
  estimate(app, tab, made[0], drawn, what);
  tab.problems.value = [];
  tab.forecast.value = null;
  if (!what.quiet) app.announce(t("run.sent"));
  return made;
}

/** Whether all that the document wants is accepted; a person is asked for the rest. @param {App} app @param {Tab} tab @param {What} what */
const mayRun = async (app, tab, what) => missing(tab).length === 0 || (!what.quiet && (await askFor(app, tab, missing(tab))));

/** @param {App} app @param {Tab} tab @param {Workflow} json @param {What} what @returns {Promise<string | undefined>} */
async function submit(app, tab, json, what) {
  const { outputs, first, quiet } = what;
  const body = { workflow: json, client: tab.key, ...(outputs ? { outputs } : {}), accept: tab.accepted.peek() };
  try {
    const job = await app.api.post("/api/jobs", body);
    const known = app.runs.add(job.id, { title: tab.title.peek(), document: json.id, client: tab.key });
    if (job.state === "queued") app.runs.expect(known, needed(json, outputs));
    if (first) await app.api.post(`/api/jobs/${job.id}/move`, { position: "first" }).catch(() => {}); // it runs already
    return job.id;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.wants.length) {
      tab.wants.value = error.wants;
      return !quiet && missing(tab).length && (await askFor(app, tab, missing(tab))) ? submit(app, tab, json, what) : undefined;
    }
    tab.problems.value = error.problems;
    if (!quiet) app.toasts.show(error.problems[0]?.message ?? (error.message || t("run.refused")), "error");
    return undefined;
  }
}

/** Tell how long a job takes, as far as the server can know. @param {App} app @param {Tab} tab @param {string} id @param {Workflow} json @param {What} what */
async function estimate(app, tab, id, json, { outputs }) {
  const asked = { workflow: json, accept: tab.accepted.peek(), ...(outputs ? { outputs } : {}) };
  const total = tab.forecast.peek()?.total ?? (await app.api.post("/api/workflows/plan", asked).catch(() => null))?.total; // without it nothing is said
  const job = app.runs.get(id);
  if (job && total?.seconds) job.row.value = { ...job.row.peek(), estimate: total.seconds };
}

/** Cancel a job that a later one takes the place of. @param {App} app @param {string} id */
export async function supersede(app, id) {
  const job = app.runs.get(id);
  if (job && !hasEnded(job.row.peek())) await app.api.post(`/api/jobs/${id}/cancel`).catch(() => {}); // it has ended meanwhile
}

/** Mark on the nodes what a run would compute. @param {App} app */
export async function forecast(app) {
  const tab = app.tabs.current.peek();
  if (!tab) return;
  await app.toasts.attempt(async () => {
    const json = tab.store.json.peek();
    const found = await app.api.post("/api/workflows/plan", { workflow: json, accept: tab.accepted.peek() });
    if (tab.store.json.peek() !== json) return;
    tab.forecast.value = { nodes: new Map(found.nodes.map((/** @type {any} */ row) => [row.node, row])), total: found.total };
    const { would_run: count, in_cache: cached, seconds } = found.total;
    app.toasts.show(t("forecast.total", { count, cached }) + (seconds ? t("forecast.seconds", { time: duration(1000 * seconds) }) : ""));
  });
}
