// The queue: what runs, what waits in which order, what ended, and how the workers are. Asked for when it opens and after events.
import { useEffect, useState } from "preact/hooks";
import { Fragment, html } from "../html.js";
import { Icon } from "../icons.js";
import { Questions } from "../node/questions.js";
import { duration, size } from "../node/node-run.js";
import { hasEnded } from "../server/runs.js";
import { t } from "../text/index.js";
import { showJob } from "./following.js";
import { Progress } from "./progress.js";

/** @import { App, JobRow } from "../types.d.ts" */
/** @typedef {{paused: boolean, running: JobRow[], queued: JobRow[], waiting: number, recent: JobRow[], system: any}} Shown */

const SOON_MS = 120;

/** @param {{app: App}} props */
export function QueuePanel({ app }) {
  const [shown, setShown] = useState(/** @type {Shown | null} */ (null));
  useEffect(() => {
    let [timer, over] = [0, false];
    const look = async () => {
      timer = 0;
      const [queue, ended, system] = await Promise.all([app.api.get("/api/queue?limit=100"),
        app.api.get("/api/jobs?state=paused,succeeded,failed,cancelled&limit=20"), app.api.get("/api/system")]);
      for (const row of queue.running) app.runs.follow(row.id).catch(() => {}); // its progress and questions; it may be gone
      if (!over) setShown({ ...queue, recent: ended.jobs, system });
    };
    const soon = () => void (timer ||= setTimeout(() => app.toasts.attempt(look), SOON_MS));
    soon();
    const stop = app.events.on(({ type }) => /^(job|queue|worker)_|^events_lost$/.test(type) && soon());
    return () => {
      over = true;
      clearTimeout(timer);
      stop();
    };
  }, []);
  if (!shown) return html`<p class="dim">${t("app.loading")}</p>`;
  const { paused, running, queued, waiting, recent, system } = shown;
  const tell = (/** @type {string} */ path, /** @type {any} */ body = undefined) => app.toasts.attempt(() => app.api.post(path, body));
  const move = (/** @type {number} */ from, /** @type {number} */ to) => queued[from] && to >= 0 && to < queued.length && from !== to
    && tell(`/api/jobs/${queued[from].id}/move`, to < from ? { before: queued[to].id } : to + 1 < queued.length ? { before: queued[to + 1].id } : { position: "last" })
      .then(() => app.announce(t("queue.moved", { place: to + 1, count: queued.length })));
  return html`<div class="queue">
    <div class="row"><button type="button" aria-pressed=${paused} onClick=${() => tell(`/api/queue/${paused ? "resume" : "pause"}`)}>
        <${Icon} name=${paused ? "play" : "pause"} /> ${t(paused ? "queue.resume" : "queue.pause")}</button>
      <button type="button" disabled=${!waiting} onClick=${async () => (await app.dialogs.confirm(t("queue.clear"), t("queue.sure", { count: waiting }))) && tell("/api/queue/clear")}>${t("queue.clear")}</button></div>
    <h3>${t("state.running")}</h3>
    <ul>${running.map((row) => html`<${Row} key=${row.id} app=${app} row=${row} />`)}</ul>
    ${!running.length && html`<p class="dim">${t(paused ? "queue.paused" : "queue.nothing")}</p>`}
    <h3>${t("queue.waiting", { count: waiting })}</h3>
    <ol>${queued.map((row, index) => html`<${Row} key=${row.id} app=${app} row=${row} place=${index} count=${queued.length} move=${move} />`)}</ol>
    <h3>${t("queue.recent")}</h3>
    <ul>${recent.map((row) => html`<${Row} key=${row.id} app=${app} row=${row} />`)}</ul>
    <h3>${t("queue.workers")}</h3>
    <ul>${system.workers.map((/** @type {any} */ worker) => html`<li key=${worker.name} class="worker"><strong>${worker.name}</strong> ${t(`worker.${worker.state}`)}
      <small>${[size(worker.rss), ...worker.devices.map(deviceText)].join(", ")}</small>${worker.why && html`<small>${worker.why}</small>`}</li>`)}</ul>
  </div>`;
}

/** @param {any} device */
const deviceText = ({ name, free_bytes: free, total_bytes: total }) => (total ? t("worker.device", { name, free: size(free ?? 0), total: size(total) }) : name);

/** One job. @param {{app: App, row: JobRow, place?: number, count?: number, move?: (from: number, to: number) => unknown}} props */
function Row({ app, row, place, count = 0, move }) {
  const job = app.runs.get(row.id);
  const tell = (/** @type {string} */ what, /** @type {any} */ body = undefined) => app.toasts.attempt(() => app.api.post(`/api/jobs/${row.id}/${what}`, body));
  const title = row.title || row.workflow_id || t("untitled");
  const prompt = row.inputs.prompt ?? Object.values(row.inputs).find((value) => typeof value === "string" && value);
  const owner = app.tabs.all.value.find((tab) => tab.key === row.client);
  const time = row.started && row.finished ? duration(Date.parse(row.finished) - Date.parse(row.started)) : "";
  const act = (/** @type {string} */ icon, /** @type {string} */ text, /** @type {() => unknown} */ run, disabled = false) =>
    html`<button type="button" class="plain" aria-label=${`${t(text)}: ${title}`} title=${t(text)} disabled=${disabled} onClick=${run}><${Icon} name=${icon} /></button>`;
  const drags = place === undefined ? {} : {
    draggable: true,
    onDragStart: (/** @type {DragEvent} */ event) => event.dataTransfer?.setData("application/x-nodegraph-place", String(place)),
    onDragOver: (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("application/x-nodegraph-place") && event.preventDefault(),
    onDrop: (/** @type {DragEvent} */ event) => (event.preventDefault(), move?.(Number(event.dataTransfer?.getData("application/x-nodegraph-place")), place)),
  };
  return html`<li class=${`job ${row.state}`} data-job=${row.id} aria-current=${app.tabs.current.value?.job.value === row.id ? "true" : undefined} ...${drags}>
    ${row.thumbnail ? html`<img src=${row.thumbnail} alt="" width="48" height="48" draggable="false" loading="lazy" />` : html`<span class="no-picture"><${Icon} name="image" /></span>`}
    <div class="what"><strong>${title}</strong>${prompt && html`<small class="prompt">${prompt}</small>`}
      <small>${[t(`state.${row.state}`), time, row.priority ? t("queue.priority_is", { priority: row.priority }) : "", owner && t("queue.tab", { title: owner.title.value })].filter(Boolean).join(", ")}</small>
      ${row.state === "running" && job && html`<${Progress} job=${job} />`}
      ${row.reason && row.state !== "succeeded" && html`<small>${row.reason}</small>`}
      ${row.error && html`<small class="failed">${row.error.problems[0]?.message ?? row.error.detail ?? row.error.title}</small>`}
      <${Questions} app=${app} job=${job} /></div>
    <div class="acts">${act("graph", "queue.show", () => app.toasts.attempt(() => showJob(app, row.id)))}
      ${place !== undefined && html`<${Fragment}>${act("up", "queue.up", () => move?.(place, place - 1), place === 0)}
        ${act("down", "queue.down", () => move?.(place, place + 1), place === count - 1)}${act("pin", "queue.first", () => tell("move", { position: "first" }), place === 0)}
        ${act("settings", "queue.priority", async () => {
          const given = await app.dialogs.ask(t("queue.priority_ask"), String(row.priority ?? 0));
          if (given !== undefined && Number.isInteger(Number(given))) tell("priority", { priority: Number(given) });
        })}</${Fragment}>`}
      ${row.state === "paused" ? act("play", "queue.resume_one", () => tell("resume")) : !hasEnded(row) && act("pause", "queue.pause_one", () => tell("pause"))}
      ${!hasEnded(row) && act("close", "run.cancel", () => tell("cancel"))}
      ${(row.state === "failed" || row.state === "cancelled") && act("retry", "queue.retry", () => tell("retry"))}</div>
  </li>`;
}
