// The denoise timeline: every step that a run took, with its picture, and a fork from any of them. Steps are asked for when the panel
// opens, and again when a node of that denoise has told something.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { forkable } from "../model/fork.js";
import { duration } from "../node/node-run.js";
import { hasEnded } from "../server/runs.js";
import { t } from "../text/index.js";
import { fork } from "./forking.js";

/** @import { App, Job, Tab } from "../types.d.ts" */
/** @typedef {{node: string, number?: number, type: string, state: string, ms: number, thumbnail: string | null}} Step */
/** @typedef {{nodes: {node: string, type: string, steps: number}[], node: string, steps: Step[]}} Shown */

const SOON_MS = 150;
const FRAME_MS = 250;

/** @param {{app: App}} props */
export function Timeline({ app }) {
  const tab = app.tabs.current.value;
  const job = app.runs.get(tab?.job.value ?? "");
  if (!tab || !job) return html`<p class="dim">${t("timeline.no_job")}</p>`;
  return html`<${Steps} key=${job.id} app=${app} tab=${tab} job=${job} />`;
}

/** What the server has of a job's steps, and whenever it has more. @param {App} app @param {Job} job @param {string} chosen @returns {Shown | null} */
function useSteps(app, job, chosen) {
  const [shown, setShown] = useState(/** @type {Shown | null} */ (null));
  useEffect(() => {
    let [timer, over] = [0, false];
    const look = async () => {
      timer = 0;
      const { nodes } = await app.api.get(`/api/jobs/${job.id}/steps`);
      const node = (nodes.find((/** @type {any} */ one) => one.node === chosen) ?? nodes.find((/** @type {any} */ one) => one.type === "diffusion/denoise") ?? nodes[0])?.node ?? "";
      const { steps } = node ? await app.api.get(`/api/jobs/${job.id}/steps?node=${encodeURIComponent(node)}`) : { steps: [] };
      if (!over) setShown({ nodes, node, steps: steps.filter((/** @type {Step} */ step) => typeof step.number === "number") });
    };
    const soon = () => void (timer ||= setTimeout(() => app.toasts.attempt(look), SOON_MS));
    soon();
    const stop = app.runs.onNode((which, path) => which === job && /[/[]/.test(path) && job.node(path).peek().state !== "waiting" && soon());
    const stopEnd = app.runs.onEnd((which) => which === job && soon());
    return () => {
      over = true;
      clearTimeout(timer);
      stop();
      stopEnd();
    };
  }, [job, chosen]);
  return shown;
}

/** @param {{app: App, tab: Tab, job: Job}} props */
function Steps({ app, tab, job }) {
  const [chosen, choose] = useState("");
  const [at, setAt] = useState(0); // 0: the latest
  const [plays, setPlays] = useState(false);
  const shown = useSteps(app, job, chosen);
  const steps = shown?.steps ?? [];
  const latest = Math.max(1, steps.filter((step) => step.state !== "waiting").length);
  const place = Math.min(at || latest, Math.max(1, steps.length));
  useEffect(() => {
    if (!plays) return undefined;
    const timer = setTimeout(() => (place < latest ? setAt(place + 1) : setPlays(false)), FRAME_MS);
    return () => clearTimeout(timer);
  }, [plays, place, latest]);
  if (!shown) return html`<p class="dim">${t("app.loading")}</p>`;
  if (!steps.length) return html`<p class="dim">${t(hasEnded(job.row.value) ? "timeline.none" : "timeline.not_yet")}</p>`;
  const step = steps[place - 1];
  const can = forkable(app.catalog.value, tab.store.json.value, shown.node);
  const why = can.reason ? t(`fork.${can.reason}`) : place >= can.steps ? t("fork.last") : "";
  const says = `${t("timeline.step", { number: place, count: steps.length })}, ${t(`state.${step.state}`)}${step.ms ? `, ${duration(step.ms)}` : ""}`;
  return html`<div class="timeline">
    <div class="controls">
      <select aria-label=${t("timeline.denoise")} value=${shown.node} onChange=${(/** @type {any} */ event) => (choose(event.target.value), setAt(0))}>
        ${shown.nodes.map(({ node }) => html`<option key=${node} value=${node}>${node}</option>`)}</select>
      <button type="button" aria-label=${t(plays ? "timeline.stop" : "timeline.play")} title=${t(plays ? "timeline.stop" : "timeline.play")}
        onClick=${() => (!plays && place >= latest && setAt(1), setPlays(!plays))}><${Icon} name=${plays ? "pause" : "play"} /></button>
      <input type="range" min="1" max=${steps.length} value=${place} aria-label=${t("timeline.scrub")} aria-valuetext=${says}
        onInput=${(/** @type {any} */ event) => (setPlays(false), setAt(Number(event.target.value)))} />
      <button type="button" disabled=${Boolean(why)} title=${why} onClick=${() => fork(app, tab, shown.node, place)}><${Icon} name="fork" /> ${t("fork.here")}</button>
    </div>
    <figure class="now">${step.thumbnail ? html`<img src=${step.thumbnail} alt=${t("timeline.picture", { number: place })} />` : html`<span class="none">${t("timeline.no_picture")}</span>`}
      <figcaption><small>${says}</small>${why && html`<small> ${why}</small>`}</figcaption></figure>
    <div class="strip" role="group" aria-label=${t("timeline.steps")}>${steps.map((one, index) => html`<button type="button" key=${one.node} class=${one.state}
      aria-pressed=${index + 1 === place} aria-label=${t("timeline.step", { number: index + 1, count: steps.length })} title=${t(`state.${one.state}`)}
      onClick=${() => setAt(index + 1)}>${one.thumbnail ? html`<img src=${one.thumbnail} alt="" loading="lazy" />` : html`<span class="none"></span>`}
      <span>${index + 1}</span></button>`)}</div>
  </div>`;
}
