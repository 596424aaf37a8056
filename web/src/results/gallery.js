// The gallery: pictures of runs as a grid that one walks through by arrow keys, and what can be done with those that are chosen.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Fragment, html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";
import { copyPicture, downloadRow, forget, openWorkflowOf, runAgain, takeOver } from "./actions.js";
import { readQuery } from "./query.js";

/** @import { App } from "../types.d.ts" */
/** @import { Found, Item } from "./found.js" */

export const PICTURE_TYPE = "application/x-nodegraph-picture";
const HINTS = ["seed", "model", "node", "workflow", "after"];

/** @param {{app: App, found: Found}} props */
export function Gallery({ app, found }) {
  const grid = useRef(/** @type {HTMLElement | null} */ (null));
  const end = useRef(/** @type {HTMLElement | null} */ (null));
  const current = useSignal("");
  useEffect(() => {
    if (found.jobs.peek() === null) found.load();
    const watcher = new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && found.more(), { rootMargin: "600px" });
    watcher.observe(/** @type {HTMLElement} */ (end.current));
    return () => watcher.disconnect();
  }, []);
  const items = found.items.value;
  const at = items.some((item) => item.key === current.value) ? current.value : items[0]?.key;
  const open = (/** @type {Item} */ item) => app.commands.run("viewer.open", { items, index: items.indexOf(item) });

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const place = items.findIndex((item) => item.key === at);
    const wide = getComputedStyle(/** @type {HTMLElement} */ (grid.current)).gridTemplateColumns.split(" ").length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide, Home: -place, End: items.length - 1 - place }[event.key];
    if (event.key === " ") found.toggle(at);
    else if (event.key === "Escape" && found.picked.peek().size) found.picked.value = new Set();
    else if (event.key === "Delete") forget(app, found.picked.peek().size ? found.chosen.peek().map((item) => item.job.id) : [items[place].job.id]);
    else if (by !== undefined) {
      const to = Math.min(items.length - 1, Math.max(0, place + by));
      if (event.shiftKey) found.picked.value = new Set([...found.picked.peek(), at, items[to].key]);
      current.value = items[to].key;
      /** @type {HTMLElement | null | undefined} */ (grid.current?.children[to]?.querySelector(".picture"))?.focus();
    } else return;
    event.preventDefault();
  }

  return html`<section class="gallery" aria-label=${t("results.gallery")}>
    <${Search} found=${found} />
    ${found.picked.value.size > 0 && html`<${Chosen} app=${app} found=${found} />`}
    <ul class="pictures" ref=${grid} onKeyDown=${onKey}>
      ${items.map((item) => html`<${Card} key=${item.key} item=${item} found=${found} stop=${item.key === at} open=${open} onFocus=${() => (current.value = item.key)} />`)}
    </ul>
    ${found.jobs.value === null ? html`<p class="dim" role="status">${t("app.loading")}</p>` : items.length === 0 && html`<p class="dim" role="status">${t("results.nothing")}</p>`}
    <p ref=${end} class="more">${found.next.value && html`<button type="button" onClick=${found.more}>${t("results.more")}</button>`}</p>
  </section>`;
}

/** One box for words and filters; below it the filters as buttons: those there are, to take out, and others to put in. @param {{found: Found}} props */
function Search({ found }) {
  const box = useRef(/** @type {HTMLInputElement | null} */ (null));
  const later = useRef(0);
  const { filters } = readQuery(found.typed.value);
  const search = (/** @type {string} */ typed, wait = 0) => {
    found.typed.value = typed;
    clearTimeout(later.current);
    later.current = setTimeout(found.load, wait);
  };
  /** @param {string} name */
  function add(name) {
    search(`${found.typed.peek().trimEnd()} ${name}:`.trimStart());
    box.current?.focus();
  }
  return html`<search class="finder">
    <input ref=${box} type="search" value=${found.typed.value} aria-label=${t("results.search")} placeholder=${t("results.search")}
      onInput=${(/** @type {any} */ event) => search(event.target.value, 250)} />
    <div class="chips">
      ${filters.map((one) => html`<button type="button" key=${one.text} aria-label=${t("results.without", { filter: one.text })} aria-pressed="true"
        onClick=${() => search(found.typed.peek().replace(one.text, "").replace(/\s+/g, " ").trim())}>${one.text} ×</button>`)}
      ${HINTS.filter((name) => !filters.some((one) => one.name === name)).map((name) => html`<button type="button" key=${name} onClick=${() => add(name)}>${name}:</button>`)}
      <button type="button" aria-pressed=${found.failed.value} onClick=${() => ((found.failed.value = !found.failed.peek()), found.load())}>${t("results.failed")}</button>
    </div>
  </search>`;
}

/** @param {{item: Item, found: Found, stop: boolean, open(item: Item): void, onFocus(): void}} props */
function Card({ item, found, stop, open, onFocus }) {
  const { job, row, key } = item;
  const picked = found.picked.value.has(key);
  const about = aboutJob(job);
  const name = `${about}${item.of > 1 ? `, ${item.number}/${item.of}` : ""}`;
  /** @param {MouseEvent} event */
  const press = (event) => (event.ctrlKey || event.metaKey || event.shiftKey ? found.toggle(key) : open(item));
  /** @param {DragEvent} event */
  function drag(event) {
    event.dataTransfer?.setData(PICTURE_TYPE, JSON.stringify({ job: job.id, ...row }));
    if (row) event.dataTransfer?.setData("text/uri-list", new URL(row.url ?? "", location.href).href);
  }
  return html`<li class=${picked ? "picked" : ""}>
    <button type="button" class="picture" tabindex=${stop ? 0 : -1} title=${name} aria-label=${picked ? t("results.picked", { name }) : name} onClick=${press} onFocus=${onFocus}
      draggable="true" onDragStart=${drag}>
      ${row ? html`<img src=${`${row.url}/thumbnail?size=256`} alt="" loading="lazy" draggable="false" />` : html`<span class=${`no-picture ${job.state}`}>${t(`state.${job.state}`)}<small>${job.title}</small></span>`}
      ${item.of > 1 && html`<span class="of" aria-hidden="true">${item.number}/${item.of}</span>`}
    </button>
    <input type="checkbox" tabindex="-1" checked=${picked} aria-label=${t("results.pick", { name })} onChange=${() => found.toggle(key)} />
  </li>`;
}

/** What a run was, in a line: its prompt and its seed. @param {Item["job"]} job */
function aboutJob({ inputs, title, id }) {
  const [prompt] = Object.entries(inputs).filter(([name, value]) => name.includes("prompt") && !name.includes("negative") && typeof value === "string").map(([, value]) => value);
  return `${(prompt || title || id).slice(0, 100)}${inputs.seed === undefined ? "" : `, ${inputs.seed}`}`;
}

/** What can be done with those that are chosen. @param {{app: App, found: Found}} props */
function Chosen({ app, found }) {
  const items = found.chosen.value;
  return html`<div class="chosen" role="toolbar" aria-label=${t("results.chosen", { count: items.length })}>
    <span>${t("results.chosen", { count: items.length })}</span>
    ${items.length === 2 && items.every((item) => item.row) && html`<button type="button" class="main" onClick=${() => app.commands.run("results.compare", items)}><${Icon} name="compare" />${t("results.compare")}</button>`}
    ${(items.length > 1 || items[0]?.of > 1) && html`<button type="button" onClick=${() => app.commands.run("results.sweep", items.length > 1 ? items : found.items.peek().filter((one) => one.job === items[0].job))}><${Icon} name="nodes" />${t("results.sweep")}</button>`}
    ${items.length === 1 && html`<${Actions} app=${app} item=${items[0]} />`}
    ${items.length > 1 && html`<button type="button" onClick=${() => items.forEach((item) => item.row && downloadRow(item.row))}><${Icon} name="download" />${t("results.download")}</button>`}
    <button type="button" onClick=${() => forget(app, items.map((item) => item.job.id))}><${Icon} name="trash" />${t("delete")}</button>
    <button type="button" class="plain" onClick=${() => (found.picked.value = new Set())}>${t("results.clear")}</button>
  </div>`;
}

/** What can be done with one picture of a run; `done` is called where something else comes to the front. @param {{app: App, item: Pick<Item, "job" | "row">, done?(): void}} props */
export function Actions({ app, item: { job, row }, done }) {
  const seeds = Object.keys(job.inputs ?? {}).length > 0 && app.tabs.current.value;
  const button = (/** @type {string} */ icon, /** @type {string} */ text, /** @type {() => unknown} */ run, leave = false) =>
    html`<button type="button" onClick=${async () => ((await run()), leave && done?.())}><${Icon} name=${icon} />${t(text)}</button>`;
  return html`<${Fragment}>
    ${button("graph", "results.open", () => openWorkflowOf(app, job.id), true)}
    ${seeds && button("dice", "results.use_seed", () => takeOver(app, job.id, "seed"))}
    ${seeds && button("pencil", "results.use_prompt", () => takeOver(app, job.id, "str"))}
    ${button("retry", "results.again", () => runAgain(app, job))}
    ${seeds && job.state === "succeeded" && button("dice", "results.again_anew", () => runAgain(app, job, true))}
    ${row?.url && button("download", "results.download", () => downloadRow(row))}
    ${row?.url && row.media_type?.startsWith("image/") && button("image", "results.copy", () => copyPicture(app, row))}
  </${Fragment}>`;
}
