// The viewer: one picture large, the others by arrow keys, and all that is known of it.
import { useSignal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { size as bytesText } from "../node/node-run.js";
import { t } from "../text/index.js";
import { isPicture, Output, viewOf } from "../views/output.js";
import { bytesOf, useAsInput } from "./actions.js";
import { Actions } from "./gallery.js";
import { FIT, loaded, Stage } from "./stage.js";

/** @import { App, JobRow, OutputRow } from "../types.d.ts" */
/** @typedef {{job: string, row: OutputRow | null, view?: string}} Shown */

/** What `viewer.open` was given, as rows and the jobs they are of. @param {App} app @param {any} given @returns {Promise<{all: Shown[], index: number}>} */
export async function shownOf(app, given) {
  const id = typeof given.job === "string" ? given.job : given.job?.id ?? "";
  const view = given.view ?? "";
  if (given.items) return { all: given.items.map((/** @type {any} */ item) => ({ job: item.job.id, row: item.row })), index: given.index ?? 0 };
  if (given.digest || given.url) return { all: [{ job: id, row: given, view }], index: 0 };
  const rows = given.rows ?? Object.values((await app.api.get(`/api/jobs/${id}`)).outputs).flat();
  return { all: rows.length ? rows.map((/** @type {OutputRow} */ row) => ({ job: id, row, view })) : [{ job: id, row: null }], index: given.index ?? 0 };
}

/** @param {{app: App, all: Shown[], index: number, close(): void}} props */
export function Viewer({ app, all, index: first, close }) {
  const [index, setIndex] = useState(Math.min(Math.max(0, first), all.length - 1));
  const [whole, setWhole] = useState(/** @type {any} */ (null));
  const [size, setSize] = useState(/** @type {{url: string, width: number, height: number} | null} */ (null));
  const look = useSignal(FIT);
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const { job, row: given, view } = all[index] ?? { job: "", row: null };
  const known = whole?.id === job ? whole : null;
  const rows = /** @type {OutputRow[]} */ (known ? Object.values(known.outputs).flat() : []);
  const row = rows.find((one) => one.digest && one.digest === given?.digest) ?? given;
  const url = given && isPicture(given) ? given.url ?? "" : "";

  useEffect(() => {
    let wanted = true;
    if (job && whole?.id !== job) app.toasts.attempt(() => app.api.get(`/api/jobs/${job}`)).then((found) => wanted && found && setWhole(found));
    look.value = FIT;
    if (url) loaded(url).then((picture) => wanted && setSize({ url, width: picture.naturalWidth, height: picture.naturalHeight }), () => wanted && setSize({ url, width: 512, height: 512 }));
    return () => void (wanted = false);
  }, [index]);

  const go = (/** @type {number} */ by) => setIndex((now) => Math.min(all.length - 1, Math.max(0, now + by)));
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : frame.current?.requestFullscreen());
  /** @param {KeyboardEvent} event */
  function keys(event) {
    if (event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
    else if (event.key === "f") full();
    else return false;
    return true;
  }
  const others = all.filter((one, place) => place !== index && one.row && isPicture(one.row));
  return html`<div class="viewer" ref=${frame}>
    <div class="seen">
      ${url ? html`<${Stage} look=${look} width=${size?.width ?? 512} height=${size?.height ?? 512} label=${t("results.stage", { name: row?.name ?? "" })} keys=${keys}>
          <img src=${url} alt=${row?.name || t("results.picture")} draggable="false" /></${Stage}>`
      : html`<div class="stage flat" tabindex="0" autofocus role="group" aria-label=${t("results.stage", { name: row?.name ?? "" })} onKeyDown=${keys}>
          ${known?.error && html`<p class="failed">${known.error.problems?.[0]?.message ?? known.error.title}</p>`}
          <${Output} rows=${row ? [row] : rows} view=${view || (row ? viewOf(row) : "")} /></div>`}
      <div class="steer">
        <button type="button" aria-label=${t("results.before")} disabled=${index === 0} onClick=${() => go(-1)}><${Icon} name="left" /></button>
        <span>${index + 1} / ${all.length}</span>
        <button type="button" aria-label=${t("results.next")} disabled=${index === all.length - 1} onClick=${() => go(1)}><${Icon} name="right" /></button>
        ${url && html`<button type="button" onClick=${() => (look.value = FIT)}>${t("results.fit")}</button>
          <button type="button" onClick=${() => (look.value = { ...FIT, zoom: 1 })}>1:1</button>`}
        <button type="button" onClick=${full}><${Icon} name="fit" />${t("results.full")}</button>
      </div>
    </div>
    <div class="about" tabindex="0" role="region" aria-label=${t("results.about")}>
      <div class="do">
        ${known && html`<${Actions} app=${app} item=${{ job: known, row }} done=${close} />`}
        ${url && html`<button type="button" onClick=${async () => useAsInput(app, await bytesOf(url), row?.name ?? "picture.png").then(close)}><${Icon} name="upload" />${t("results.use")}</button>`}
        ${url && app.commands.find("mask.edit") && html`<button type="button" onClick=${() => (close(), app.commands.run("mask.edit", { picture: url }))}><${Icon} name="mask" />${t("results.mask")}</button>`}
        ${url && others.length > 0 && html`<${CompareWith} app=${app} own=${{ job, row }} others=${others} />`}
      </div>
      <${Facts} known=${known} row=${row} size=${size?.url === url ? size : null} />
      ${url && html`<${Metadata} app=${app} key=${url} url=${url} />`}
    </div>
  </div>`;
}

/** @param {{app: App, own: Shown, others: Shown[]}} props */
function CompareWith({ app, own, others }) {
  return html`<details><summary>${t("results.compare_with")}</summary><div class="choose-picture">${others.slice(0, 60).map((one) => html`<button type="button" key=${one.job + one.row?.url}
    aria-label=${t("results.compare_this", { name: one.row?.name ?? one.job })} onClick=${() => app.commands.run("results.compare", [own, one])}>
    <img src=${`${one.row?.url}/thumbnail?size=128`} alt="" loading="lazy" /></button>`)}</div></details>`;
}

/** What is known of the run and the file. @param {{known: any, row: OutputRow | null, size: {width: number, height: number} | null}} props */
function Facts({ known, row, size }) {
  const facts = [
    [t("results.size"), size && `${size.width} × ${size.height}`], [t("results.file"), row?.bytes && `${row.media_type}, ${bytesText(row.bytes)}`],
    [t("results.made"), known?.finished && new Date(known.finished).toLocaleString()], [t("results.seconds"), known?.seconds],
    ...Object.entries(known?.inputs ?? {}).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  return html`${row?.name && html`<h3 class="name">${row.name}</h3>`}<dl class="facts">${facts.map(([name, value]) => value !== null && value !== undefined && value !== "" && value !== "null"
    && html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** What the file itself carries, read when it is asked for. @param {{app: App, url: string}} props */
function Metadata({ app, url }) {
  const [read, setRead] = useState(/** @type {any} */ (null));
  const open = (/** @type {any} */ event) => event.currentTarget.open && !read && app.toasts.attempt(() => app.api.get(`${url}/metadata`)).then((found) => setRead(found ?? null));
  return html`<details onToggle=${open}><summary>${t("results.metadata")}</summary>${read && (read.found.length === 0 ? html`<p class="dim">${t("results.no_metadata")}</p>`
    : read.found.map((/** @type {any} */ one) => html`<section key=${one.program}><h3>${one.title}</h3>${Object.entries(one.texts).map(([name, text]) => html`<details key=${name}><summary>${name}</summary>
      <pre class="value" tabindex="0">${text}</pre></details>`)}</section>`))}</details>`;
}
