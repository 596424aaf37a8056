// The window that masks and sketches are painted in: the picture in the middle, tools and layers around it.
import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { isTyping, pressed, shownKeys } from "../keys.js";
import { t } from "../text/index.js";
import { Layers } from "./layers.js";
import { Palette } from "./palette.js";
import { listen, TOOL_KEYS } from "./pointing.js";

/** @import { App } from "../types.d.ts" */
/** @import { Signal } from "@preact/signals" */
/** @import { Painter } from "./painter.js" */

const on = (/** @type {(event: any) => unknown} */ work) => work;

/** @param {{text: string, value: Signal<number>, min: number, max: number, step?: number, factor?: number}} props */
const Slider = ({ text, value, min, max, step = 1, factor = 1 }) => html`<label class="slider"><span>${text}</span>
  <input type="range" min=${min} max=${max} step=${step} value=${value.value * factor} onInput=${on((event) => (value.value = event.target.valueAsNumber / factor))} />
  <output>${Math.round(value.value * factor * 10) / 10}</output></label>`;

/** @param {{text: string, value: Signal<boolean>}} props */
const Check = ({ text, value }) => html`<label><input type="checkbox" checked=${value.value} onChange=${on((event) => (value.value = event.target.checked))} /> ${text}</label>`;

/** @param {{text: string, value: Signal<string>}} props */
const Shade = ({ text, value }) => html`<label><input type="color" value=${value.value} onInput=${on((event) => (value.value = event.target.value))} /> ${text}</label>`;

/** @param {{app: App, painter: Painter, done: () => Promise<string | undefined>, close(file?: string): void}} props `done` keeps what was painted. */
export function PainterBody({ app, painter, done, close }) {
  const view = useRef(/** @type {any} */ (null));
  const [said, say] = useState("");
  const [busy, setBusy] = useState(false);
  const fit = (/** @type {number} */ zoom = NaN) => painter.fit(view.current.clientWidth, view.current.clientHeight, Number.isNaN(zoom) ? undefined : zoom);
  const zoom = (/** @type {number} */ factor) => painter.zoomBy(factor, view.current.clientWidth / 2, view.current.clientHeight / 2);
  useEffect(() => {
    fit();
    view.current.querySelector(".paint-stage").append(painter.canvas);
    painter.all();
    view.current.focus();
    const stops = [
      listen(painter, view.current, say),
      effect(() => {
        const { x, y, zoom: by } = painter.camera.value;
        const stage = view.current.querySelector(".paint-stage");
        stage.style.setProperty("--pixel", `${1 / by}px`); // of the screen
        Object.assign(stage.style, { transform: `translate(${x}px, ${y}px) scale(${by})`, imageRendering: by > 2 ? "pixelated" : "auto" });
      }),
      effect(() => (painter.tint.value, painter.only.value, painter.all())),
    ];
    return () => stops.forEach((stop) => stop());
  }, []);
  const finish = async () => {
    if (painter.feathering.peek() !== null) painter.feather();
    setBusy(true);
    const file = await app.toasts.attempt(done);
    setBusy(false);
    if (file) close(file);
  };
  const resize = (/** @type {number} */ factor) => (painter.size.value = Math.max(1, Math.min(1000, Math.round(painter.size.peek() * factor + Math.sign(factor - 1)))));
  const harden = (/** @type {number} */ by) => (painter.hardness.value = Math.max(0, Math.min(1, painter.hardness.peek() + by)));
  /** @type {Record<string, () => unknown>} */
  const keys = {
    "[": () => resize(1 / 1.15), "]": () => resize(1.15), "{": () => harden(-0.1), "}": () => harden(0.1), "+": () => zoom(1.25), "-": () => zoom(0.8), 0: () => fit(), 1: () => fit(1),
    "Ctrl+Z": painter.undo, "Shift+Ctrl+Z": painter.redo, "Ctrl+Y": painter.redo, "Ctrl+Enter": finish, ...(painter.isMask ? { "Ctrl+I": painter.invert, M: () => (painter.only.value = !painter.only.peek()) } : {}),
    ...Object.fromEntries(tools(painter).map(([key, tool]) => [key, () => choose(tool)])),
  };
  const press = on((event) => {
    const work = keys[pressed(event)] ?? keys[event.key];
    if (!work || isTyping(event.target)) return;
    event.preventDefault();
    work();
  });
  const choose = (/** @type {any} */ tool) => {
    painter.drop();
    painter.tool.value = tool;
    say(t(`paint.${tool}`));
  };
  painter.version.value;
  const tool = painter.tool.value;
  return html`<div class="painter" onKeyDown=${press}>
    <div class="paint-tools" role="toolbar" aria-label=${t("paint.tools")}>
      ${tools(painter).map(([key, one]) => html`<button type="button" key=${one} aria-pressed=${one === tool} title=${key} onClick=${() => choose(one)}>${t(`paint.${one}`)}</button>`)}
      <span class="space"></span>
      ${[["undo", painter.undo, "Ctrl+Z"], ["redo", painter.redo, "Shift+Ctrl+Z"]].map(([name, work, key]) => html`<button type="button" key=${name} aria-label=${t(`command.${name}`)}
        title=${`${t(`command.${name}`)} (${shownKeys(String(key))})`} disabled=${!painter.surface[name === "undo" ? "canUndo" : "canRedo"]} onClick=${work}><${Icon} name=${name} /></button>`)}
      <button type="button" aria-label=${t("paint.smaller")} title="-" onClick=${() => zoom(0.8)}>−</button><button type="button" aria-label=${t("paint.larger")} title="+" onClick=${() => zoom(1.25)}>+</button>
      <button type="button" title="0" onClick=${() => fit()}>${t("paint.fit")}</button><button type="button" title="1" onClick=${() => fit(1)}>1:1</button>
    </div>
    <div ref=${view} class="paint-view" tabindex="0" role="application" aria-label=${t(painter.isMask ? "paint.mask_here" : "paint.sketch_here")}
        aria-describedby="paint-help">
      <${Stage} painter=${painter} /><span class="ring" hidden=${tool === "pick"}></span>
    </div>
    <div class="paint-side" tabindex="-1"><${Options} painter=${painter} tool=${tool} />
      <${Layers} app=${app} painter=${painter} version=${painter.version.value} />
      <p id="paint-help" class="dim">${t("paint.help")}</p></div>
    <div class="actions"><span role="status">${said}</span><button type="button" class="main" disabled=${busy} onClick=${finish}>${t("paint.done")}</button></div>
  </div>`;
}

/** Tools by their keys: only colours can be picked. @param {Painter} painter */
const tools = (painter) => Object.entries(TOOL_KEYS).filter(([, tool]) => tool !== "pick" || !painter.isMask);

/** What moves and grows with the zoom: the picture, the layers upon it, the corners of a lasso. @param {{painter: Painter}} props */
function Stage({ painter }) {
  const box = useRef(/** @type {any} */ (null));
  const { width, height } = painter.surface;
  useEffect(() => {
    if (!painter.picture) return;
    const below = Object.assign(document.createElement("canvas"), { width, height, className: "below" });
    below.getContext("2d")?.drawImage(painter.picture, 0, 0, width, height);
    box.current.prepend(below);
  }, []);
  const hidden = painter.only.value || !painter.under.value;
  return html`<div ref=${box} class=${`paint-stage ${hidden ? "bare" : ""}`} style=${{ width: `${width}px`, height: `${height}px`, background: painter.only.value ? "#000" : painter.background.value }}>
    <svg viewBox=${`0 0 ${width} ${height}`} aria-hidden="true"><polyline points=${painter.corners.value.join(" ")} /></svg>
  </div>`;
}

/** What the tool in hand, and the whole, can be set to. @param {{painter: Painter, tool: string}} props */
function Options({ painter, tool }) {
  const { isMask } = painter;
  const feathering = painter.feathering.value;
  return html`<section>
    ${!isMask && html`<${Palette} color=${painter.color} />`}
    ${tool === "brush" || tool === "eraser" ? html`<${Slider} text=${t("paint.size")} value=${painter.size} min=${1} max=${Math.max(64, painter.surface.width / 2)} />
      <${Slider} text=${t("paint.hardness")} value=${painter.hardness} min=${0} max=${100} factor=${100} />` : tool !== "pick" && html`<${Check} text=${t("paint.take")} value=${painter.taking} />`}
    ${tool === "fill" && html`<${Slider} text=${t("paint.tolerance")} value=${painter.tolerance} min=${0} max=${100} factor=${100} />
      ${painter.picture && html`<${Check} text=${t("paint.by_picture")} value=${painter.byPicture} />`}`}
    <div class="row">${isMask && html`<button type="button" title=${shownKeys("Ctrl+I")} onClick=${painter.invert}>${t("paint.invert")}</button>
      <button type="button" aria-pressed=${feathering !== null} onClick=${() => painter.feather(feathering === null ? 4 : null)}>${t("paint.feather")}</button>`}
      <button type="button" onClick=${painter.clear}>${t("paint.clear")}</button></div>
    ${feathering !== null && html`<div class="row"><label class="slider"><span>${t("paint.radius")}</span><input type="range" min="0.5" max="60" step="0.5" value=${feathering}
        onInput=${on((event) => painter.feather(event.target.valueAsNumber))} /><output>${feathering}</output></label>
      <button type="button" class="main" onClick=${on((event) => (event.target.closest(".painter").querySelector(".paint-view").focus(), painter.feather()))}>${t("paint.apply")}</button></div>`}
    ${isMask ? html`<div class="row"><${Shade} text=${t("paint.tint")} value=${painter.tint} /><${Check} text=${t("paint.only")} value=${painter.only} /></div>`
    : html`<div class="row"><${Shade} text=${t("paint.background")} value=${painter.background} />${painter.picture && html`<${Check} text=${t("paint.under")} value=${painter.under} />`}</div>`}
  </section>`;
}
