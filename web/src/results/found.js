// The runs that a search found, page by page. Jobs that end meanwhile come to the front by the server's events.
import { batch, computed, signal } from "@preact/signals";
import { hasEnded } from "../server/runs.js";
import { asked } from "./query.js";

/** @import { App, JobRow, OutputRow } from "../types.d.ts" */
/** @import { Signal } from "@preact/signals" */
/** A picture of a job, or the job itself where it made none. @typedef {{key: string, job: JobRow, row: OutputRow | null, number: number, of: number}} Item */
/** @typedef {ReturnType<typeof createFound>} Found */

const PAGE = 60;

/** @param {JobRow} job @returns {Item[]} */
export function itemsOf(job) {
  const digests = /** @type {string[]} */ (job.pictures ?? []);
  if (!digests.length) return [{ key: job.id, job, row: null, number: 1, of: 1 }];
  return digests.map((digest, index) => ({
    key: `${job.id} ${index}`, job, row: { digest, url: `/api/artifacts/${digest}`, media_type: "image/*" }, number: index + 1, of: digests.length,
  }));
}

/** @param {App} app */
export function createFound(app) {
  const typed = signal("");
  const failed = signal(false);
  const jobs = /** @type {Signal<JobRow[] | null>} */ (signal(null));
  const next = /** @type {Signal<string | null>} */ (signal(null));
  const items = computed(() => (jobs.value ?? []).flatMap(itemsOf));
  const picked = signal(/** @type {ReadonlySet<string>} */ (new Set()));
  let search = 0;
  let looking = false;
  let again = false;

  /** @param {string | null} cursor @returns {Promise<{jobs: JobRow[], next: string | null}>} */
  function ask(cursor) {
    const wanted = asked(typed.peek(), { failed: failed.peek(), types: Object.keys(app.catalog.peek().nodes) });
    wanted.set("limit", String(PAGE));
    if (cursor) wanted.set("cursor", cursor);
    return app.api.get(`/api/jobs?${wanted}`);
  }

  /** Search anew. Those that are picked and are found again stay picked. */
  const load = () => app.toasts.attempt(async () => {
    const number = ++search;
    const page = await ask(null);
    if (number !== search) return; // something else was typed meanwhile
    batch(() => {
      jobs.value = page.jobs;
      next.value = page.next ?? null;
      const there = new Set(items.value.map((item) => item.key));
      picked.value = new Set([...picked.peek()].filter((key) => there.has(key)));
    });
  });

  /** The next page. */
  const more = () => app.toasts.attempt(async () => {
    const cursor = next.peek();
    if (!cursor || looking) return;
    const number = search;
    looking = true;
    const page = await ask(cursor).finally(() => void (looking = false));
    if (number !== search) return;
    batch(() => {
      jobs.value = [...(jobs.peek() ?? []), ...page.jobs];
      next.value = page.next ?? null;
    });
  });

  /** What was found and is not shown yet comes to the front; several jobs that end at once are asked for together. */
  async function latest() {
    if (jobs.peek() === null) return;
    if (looking) return void (again = true);
    looking = true;
    const number = search;
    const page = await ask(null).catch(() => null).finally(() => void (looking = false)); // the page says by itself that the server is away
    if (page && number === search) {
      const there = new Set(jobs.peek()?.map((job) => job.id));
      const fresh = page.jobs.filter((job) => !there.has(job.id));
      if (fresh.length) jobs.value = [...(jobs.peek() ?? []), ...fresh].sort((a, b) => (a.id < b.id ? 1 : -1));
    }
    if (!again) return;
    again = false;
    latest();
  }

  /** @param {string} id */
  function drop(id) {
    jobs.value = jobs.peek()?.filter((job) => job.id !== id) ?? null;
    picked.value = new Set([...picked.peek()].filter((key) => key.split(" ")[0] !== id));
  }

  app.events.on((message) => {
    if (message.type === "job_deleted") drop(message.job ?? "");
    else if (message.type.startsWith("job_") && hasEnded(/** @type {any} */ (message))) latest();
  });
  return {
    typed, failed, jobs, next, items, picked, load, more,
    chosen: computed(() => items.value.filter((item) => picked.value.has(item.key))),
    /** @param {string} key */
    toggle(key) {
      const keys = new Set(picked.peek());
      if (!keys.delete(key)) keys.add(key);
      picked.value = keys;
    },
  };
}
