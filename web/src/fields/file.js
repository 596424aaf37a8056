// A file that the server has: chosen, uploaded, dropped here or pasted. A mask can be painted.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { accept } from "../tabs.js";
import { t } from "../text/index.js";
import { listing, on, pick } from "./parts.js";

/** @import { Tab } from "../types.d.ts" */
/** @import { ControlProps } from "./index.js" */

const FILES = "/api/inputs?limit=500";
const PICTURE = /\.(png|jpe?g|webp|gif|bmp|tiff?|avif)$/i;

/** @param {string} name @param {number} [size] */
export const thumbnail = (name, size = 256) => `/api/inputs/thumbnail?name=${encodeURIComponent(name)}&size=${size}`;

/** @param {ControlProps} props */
export function FileField({ app, tab, input, field, value, change, attrs, where, place, targets = [place] }) {
  const [busy, setBusy] = useState(false);
  const [over, setOver] = useState(false);
  const mask = field.schema.format === "mask" && app.commands.all.value.some((one) => one.id === "mask.edit");
  const sketch = targets.some((target) => tab.graph.value.nodes?.[target.split(".")[0]]?.type === "image/load_image") && app.commands.find("sketch.edit");
  /** Whoever chooses a file by hand means it to be read. @param {string} name */
  const take = (name) => (accept(tab, { kind: "file", name }), change(name));
  /** @param {FileList | undefined} files @param {Event} event */
  const upload = async (files, event) => {
    setOver(false);
    const file = files?.[0];
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    setBusy(true);
    const sent = await app.toasts.attempt(() => app.api.upload(file, file.name || "pasted.png"));
    setBusy(false);
    if (sent) take(sent.file);
  };
  const choose = async () => {
    listing(app, FILES, true);
    const found = await pick(app, input.title, () => listing(app, FILES).value?.files.map((/** @type {any} */ one) => ({ value: one.name, note: new Date(one.modified).toLocaleString(), picture: one.thumbnail })) ?? null, value);
    if (found !== undefined) take(found);
  };
  const paint = () => app.commands.run("mask.edit", { file: value || "", picture: pictureBeside(tab, targets), onDone: change });
  const hide = on((event) => (event.target.hidden = true));
  return html`<div class=${`file-field ${over ? "over" : ""}`} data-takes-files onDragOver=${on((event) => (event.preventDefault(), event.stopPropagation(), setOver(true)))} onDragLeave=${() => setOver(false)}
      onDrop=${on((event) => upload(event.dataTransfer.files, event))} onPaste=${on((event) => upload(event.clipboardData.files, event))}>
    <button type="button" class="value-button" ...${attrs} title=${value || t("file.hint")} onClick=${choose}>${value && PICTURE.test(value) && html`<img key=${value} src=${thumbnail(value, where === "node" ? 64 : 256)} alt="" onError=${hide} />`}
      <span>${value ? String(value).split("/").at(-1) : t("field.choose")}</span></button>
    ${busy ? html`<progress aria-label=${t("file.uploading")}></progress>` : html`<label class="upload" data-control title=${t("file.upload")}><${Icon} name="upload" /><span class="only-read">${t("file.upload_for", { input: input.title })}</span>
      <input type="file" class="only-read" onChange=${on((event) => upload(event.target.files, event))} /></label>`}
    ${mask && html`<button type="button" onClick=${paint}>${t("file.paint")}</button>`}
    ${sketch && html`<button type="button" class="plain" aria-label=${t("sketch.paint")} title=${t("sketch.paint")} onClick=${() => sketch.run({ file: value || "", onDone: change })}><${Icon} name="pencil" /></button>`}
  </div>`;
}

/** A folder that the server has, or an archive, by its name. @param {ControlProps} props */
export function FolderField({ tab, input, field, value, change, attrs, where }) {
  const type = on((event) => change(event.target.value === "" && field.nullable ? null : event.target.value, { merge: true }));
  const meant = on((event) => event.target.value && accept(tab, { kind: "file", name: event.target.value })); // typed by hand, to its end
  return html`<input type="text" ...${attrs} placeholder=${attrs.placeholder ?? (where === "node" ? input.title : "")} value=${value ?? ""} onInput=${type} onChange=${meant} />`;
}

/** The picture that lies below a mask: the one that another node of the graph loads. @param {Tab} tab @param {string[]} targets */
const pictureBeside = (tab, targets) => Object.entries(tab.graph.peek().nodes ?? {})
  .find(([id, entry]) => !targets.some((target) => target.startsWith(`${id}.`)) && PICTURE.test(entry.inputs?.path ?? ""))?.[1].inputs?.path ?? "";
