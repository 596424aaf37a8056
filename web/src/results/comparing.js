// Two pictures against each other: a border between them, side by side, their difference, one instead of the other; and what was set otherwise.
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../text/index.js";
import { difference, pixelsOf, psnr } from "./difference.js";
import { FIT, loaded, Stage } from "./stage.js";

/** @import { App, Workflow } from "../types.d.ts" */
/** @import { Shown } from "./viewer.js" */

const WAYS = ["slider", "sides", "difference", "flicker"];

/** @param {{app: App, pair: [Shown, Shown]}} props */
export function Comparing({ app, pair }) {
  const [way, setWay] = useState("slider");
  const [pictures, setPictures] = useState(/** @type {HTMLImageElement[] | null} */ (null));
  const [second, setSecond] = useState(false);
  const [gain, setGain] = useState(4);
  const [share, setShare] = useState(50);
  const look = useSignal(FIT);
  useEffect(() => void app.toasts.attempt(async () => setPictures(await Promise.all(pair.map(({ row }) => loaded(row?.url ?? ""))))), []);
  const pixels = useMemo(() => pictures?.map((one) => pixelsOf(one, pictures[0].naturalWidth, pictures[0].naturalHeight)), [pictures]);
  const apart = useMemo(() => (pixels ? psnr(pixels[0], pixels[1]) : 0), [pixels]);
  if (!pictures || !pixels) return html`<p role="status">${t("app.loading")}</p>`;

  const sizes = pictures.map((one) => `${one.naturalWidth} × ${one.naturalHeight}`);
  const stage = { look, width: pictures[0].naturalWidth, height: pictures[0].naturalHeight, keys };
  const image = (/** @type {number} */ index, style = {}) => html`<img src=${pictures[index].src} alt=${"AB"[index]} draggable="false" style=${style} />`;
  /** @param {KeyboardEvent} event */
  function keys(event) {
    const number = WAYS.findIndex((_, place) => event.code === `Digit${place + 1}` && event.altKey);
    if (number >= 0) setWay(WAYS[number]);
    else if (event.key === "x" || (event.key === " " && way === "flicker")) (setWay("flicker"), setSecond((now) => !now));
    else if (event.shiftKey && way === "slider" && /^Arrow(Left|Right)$/.test(event.key)) setShare((now) => Math.min(100, Math.max(0, now + (event.key === "ArrowLeft" ? -2 : 2))));
    else return false;
    return true;
  }
  const name = (/** @type {string} */ one) => t(`results.way_${one}`);
  return html`<div class="comparing">
    <div class="steer" role="toolbar" aria-label=${t("results.ways")}>
      ${WAYS.map((one) => html`<button type="button" key=${one} aria-pressed=${way === one} onClick=${() => setWay(one)}>${name(one)}</button>`)}
      ${way === "slider" && html`<label>${t("results.border")} <input type="range" min="0" max="100" value=${share} onInput=${(/** @type {any} */ event) => setShare(event.target.valueAsNumber)} /></label>`}
      ${way === "difference" && html`<label>${t("results.gain")} <input type="range" min="1" max="32" value=${gain} onInput=${(/** @type {any} */ event) => setGain(event.target.valueAsNumber)} /> ×${gain}</label>`}
      ${way === "flicker" && html`<button type="button" onClick=${() => setSecond(!second)}>${t("results.swap", { name: second ? "B" : "A" })}</button>`}
      <output class="psnr">${apart === Infinity ? t("results.equal") : t("results.psnr", { number: apart.toFixed(2) })}</output>
    </div>
    ${sizes[0] !== sizes[1] && html`<p class="dim" role="note">${t("results.sizes", { a: sizes[0], b: sizes[1] })}</p>`}
    <div class=${`seen ${way}`}>
      ${way === "sides" ? [0, 1].map((index) => html`<${Stage} ...${stage} key=${index} label=${"AB"[index]}>${image(index)}</${Stage}>`)
      : html`<${Stage} ...${stage} key="one" label=${name(way)}>
          ${way === "difference" ? html`<${Difference} pixels=${pixels} width=${stage.width} height=${stage.height} gain=${gain} />`
          : way === "flicker" ? image(second ? 1 : 0)
          : [image(0), image(1, { clipPath: `inset(0 0 0 ${share}%)` }), html`<${Border} share=${share} setShare=${setShare} />`]}</${Stage}>`}
    </div>
    <${Settings} app=${app} pair=${pair} />
  </div>`;
}

/** The border between both, to be dragged; keys have the slider above. @param {{share: number, setShare(share: number): void}} props */
function Border({ share, setShare }) {
  /** @param {any} event */
  function drag(event) {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    const box = event.currentTarget.parentElement.getBoundingClientRect();
    setShare(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
    event.stopPropagation();
  }
  return html`<span class="border" style=${{ left: `${share}%` }} onPointerMove=${drag}
    onPointerDown=${(/** @type {any} */ event) => (event.stopPropagation(), event.currentTarget.setPointerCapture(event.pointerId))}></span>`;
}

/** @param {{pixels: Uint8ClampedArray[], width: number, height: number, gain: number}} props */
function Difference({ pixels, width, height, gain }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    canvas.current?.getContext("2d")?.putImageData(new ImageData(difference(pixels[0], pixels[1], gain), width, height), 0, 0);
  }, [gain]);
  return html`<canvas ref=${canvas} width=${width} height=${height} role="img" aria-label=${t("results.way_difference")}></canvas>`;
}

/** What was set otherwise, and what else differs between both workflows. @param {{app: App, pair: [Shown, Shown]}} props */
function Settings({ app, pair }) {
  const [jobs, setJobs] = useState(/** @type {any[] | null} */ (null));
  const [words, setWords] = useState(/** @type {any} */ (null));
  const known = pair.every(({ job }) => job) && pair[0].job !== pair[1].job;
  useEffect(() => {
    if (known) app.toasts.attempt(async () => setJobs(await Promise.all(pair.map(({ job }) => app.api.get(`/api/jobs/${job}`)))));
  }, []);
  if (!known || !jobs) return null;
  const names = [...new Set(jobs.flatMap((job) => Object.keys(job.inputs)))].filter((name) => JSON.stringify(jobs[0].inputs[name]) !== JSON.stringify(jobs[1].inputs[name]));
  const text = (/** @type {any} */ value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
  /** @param {any} event */
  const open = (event) => event.currentTarget.open && !words && app.toasts.attempt(async () => {
    const [before, after] = await Promise.all(pair.map(({ job }) => app.api.get(`/api/jobs/${job}/workflow`)));
    const { Comparison } = await import("../documents/comparison.js");
    setWords(html`<${Comparison} app=${app} before=${before} after=${after} />`);
  });
  return html`<div class="differing">
    ${names.length ? html`<table><caption>${t("results.differs")}</caption><thead><tr><th scope="col">${t("results.input")}</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
      <tbody>${names.map((name) => html`<tr key=${name}><th scope="row">${name}</th>${jobs.map((job) => html`<td>${text(job.inputs[name])}</td>`)}</tr>`)}</tbody></table>`
    : html`<p class="dim">${t("results.same_inputs")}</p>`}
    <details onToggle=${open}><summary>${t("results.workflows")}</summary>${words}</details>
  </div>`;
}
