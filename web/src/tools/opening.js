// From a file to a painting and back: what is painted over, what was painted before, and where the result goes.
import { listing, pick } from "../fields/parts.js";
import { setValue } from "../model/edit.js";
import { accept, editGraph } from "../tabs.js";
import { t } from "../text/index.js";
import { resized } from "./brushes.js";
import { PainterBody } from "./editor.js";
import { inpaintingOf, masksOf, picturesOf } from "./inpainting.js";
import { createPainter } from "./painter.js";
import { decodeMask, encodeMask, encodeRgb } from "./png.js";
import { createSurface } from "./surface.js";

/** @import { App } from "../types.d.ts" */
/** @import { Layer, Surface } from "./surface.js" */
/** @import { Target } from "./inpainting.js" */
/** `file`: to go on with. `picture`: what lies below, a file's name or an address. Without `onDone` the document's own input takes the result.
 * @typedef {{file?: string, picture?: string, width?: number, height?: number, onDone?: (file: string) => unknown}} Given */

const FILES = "/api/inputs?limit=500";
const MOST_KEPT = 4;
const MOST_PIXELS = { 1: 4096 * 4096, 4: 2048 * 2048 };
const SKETCH = 512;

/** Paintings of this session with their layers, by the file they became. @type {Map<string, {width: number, height: number, layers: Layer[]}>} */
const painted = new Map();

/** @param {string} given */
const addressOf = (given) => (/^(\/|blob:|data:)/.test(given) ? given : `/api/inputs/file?name=${encodeURIComponent(given)}`);

/** @param {string} given @returns {Promise<Blob>} */
async function read(given) {
  const answer = await fetch(addressOf(given));
  if (!answer.ok) throw new Error(t("paint.no_file", { name: given }));
  return answer.blob();
}

/** @param {Blob} blob @param {string} name */
const decoded = (blob, name) => createImageBitmap(blob).catch(() => {
  throw new Error(t("paint.no_picture", { name }));
});

/** Paint a mask. @param {App} app @param {Given} [given] */
export const editMask = (app, given = {}) => app.toasts.attempt(async () => {
  const tab = app.tabs.current.peek();
  const [json, graph] = [tab?.store.json.peek(), tab?.graph.peek()];
  const pair = json && graph && inpaintingOf(app.catalog.peek(), json, graph);
  const masks = json && graph ? masksOf(app.catalog.peek(), json, graph) : [];
  const target = given.onDone ? undefined : masks.length > 1 && !given.file ? await choose(app, t("mask.which"), masks) : masks[0];
  if (target === null) return;
  const file = given.file ?? (given.picture ? "" : target?.file); // over another picture a mask begins anew
  const picture = given.picture || (await below(app, graph ? picturesOf(graph) : [], pair?.picture.file, Boolean(file)));
  if (picture === undefined) return;
  const image = picture ? await decoded(await read(picture), picture) : null;
  const before = file && !painted.has(file) ? await maskOf(file) : null;
  const surface = surfaceFor(1, file ?? "", image ?? before ?? { width: SKETCH, height: SKETCH });
  if (before) surface.layers[0].data.set(resized(before, surface.width, surface.height));
  const made = await show(app, t("mask.title"), surface, image, () => encodeMask(surface.flat().data, surface.width, surface.height), "mask.png");
  if (made) use(app, given, made, target, t("mask.painted"));
});

/** Paint a sketch in colours. @param {App} app @param {Given} [given] */
export const editSketch = (app, given = {}) => app.toasts.attempt(async () => {
  const tab = app.tabs.current.peek();
  const pictures = tab ? picturesOf(tab.graph.peek()) : [];
  const target = given.onDone ? undefined : pictures.length > 1 ? await choose(app, t("sketch.which"), pictures) : pictures[0];
  if (target === null) return;
  const file = given.file ?? target?.file ?? "";
  const image = file && !painted.has(file) ? await decoded(await read(file), file) : null;
  const { width = image?.width ?? SKETCH, height = image?.height ?? SKETCH } = given;
  const surface = surfaceFor(4, file, { width, height });
  const made = await show(app, t("sketch.title"), surface, image, (painter) => encodeRgb(painter.drawn(true).getImageData(0, 0, surface.width, surface.height)), "sketch.png");
  if (made) use(app, given, made, target, t("sketch.painted"));
});

/** What is painted on: with the layers that became this file, or blank. @param {1 | 4} channels @param {string} file
 * @param {{width: number, height: number}} size */
function surfaceFor(channels, file, size) {
  const known = painted.get(file);
  const shrunk = Math.min(1, Math.sqrt(MOST_PIXELS[channels] / (size.width * size.height)));
  const { width, height } = known ?? { width: Math.round(size.width * shrunk), height: Math.round(size.height * shrunk) };
  const surface = createSurface(width, height, channels);
  if (known && known.layers[0].data.length === width * height * channels) surface.layers = known.layers.map((layer) => ({ ...layer, data: layer.data.slice() }));
  return surface;
}

/** A file as a mask: exactly where it is one, by its brightness otherwise. @param {string} file */
async function maskOf(file) {
  const blob = await read(file);
  const exact = await decodeMask(new Uint8Array(await blob.arrayBuffer()));
  if (exact) return exact;
  const image = await decoded(blob, file);
  const { width, height } = image;
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext("2d"));
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const bright = Float32Array.from({ length: width * height }, (_, at) => (0.299 * data[4 * at] + 0.587 * data[4 * at + 1] + 0.114 * data[4 * at + 2]) / 255); // as load_mask
  return { data: bright, width, height };
}

/** @param {App} app @param {string} title @param {Surface} surface @param {ImageBitmap | null} image
 * @param {(painter: import("./painter.js").Painter) => Blob | Promise<Blob>} encode @param {string} name @returns {Promise<string | undefined>} The file that it became. */
function show(app, title, surface, image, encode, name) {
  const painter = createPainter(surface, image);
  const done = async () => {
    const { file } = await app.api.upload(await encode(painter), name);
    painted.delete(file);
    painted.set(file, { width: surface.width, height: surface.height, layers: surface.layers });
    if (painted.size > MOST_KEPT) painted.delete([...painted.keys()][0]);
    return file;
  };
  const may = () => !painter.unsaved || app.dialogs.confirm(t("paint.leave"), t("paint.leave_text"), t("paint.discard"));
  return app.dialogs.open(title, PainterBody, { painter, done }, { wide: true, may });
}

/** @param {App} app @param {Given} given @param {string} file @param {Target | undefined} target @param {string} label */
function use(app, given, file, target, label) {
  const tab = app.tabs.current.peek();
  if (tab) accept(tab, { kind: "file", name: file });
  if (given.onDone) given.onDone(file);
  else if (tab && target) editGraph(tab, label, (graph) => setValue(graph, target.node, target.input, file));
  else app.toasts.show(t("paint.kept", { file }));
}

/** One of several inputs; null: none was chosen. @param {App} app @param {string} title @param {Target[]} targets @returns {Promise<Target | null>} */
async function choose(app, title, targets) {
  return (await pick(app, title, () => targets.map((one) => ({ value: one, title: `${one.node}.${one.input}`, note: one.file, picture: smallOf(one.file) })))) ?? null;
}

/** @param {string} file */
const smallOf = (file) => (file ? `/api/inputs/thumbnail?name=${encodeURIComponent(file)}&size=128` : undefined);

/** The picture to paint over: the document's, if it is plain which; else a person chooses. "": none is needed; undefined: none was chosen.
 * @param {App} app @param {Target[]} pictures @param {string | undefined} known @param {boolean} optional @returns {Promise<string | undefined>} */
async function below(app, pictures, known, optional) {
  const files = [...new Set(pictures.map((one) => one.file).filter(Boolean))];
  if (known ?? files.length === 1) return known ?? files[0];
  if (!files.length && optional) return "";
  listing(app, FILES, true);
  const upload = { value: "", title: t("paint.upload") };
  const found = await pick(app, t("mask.over"), () => {
    const all = listing(app, FILES).value?.files.filter((/** @type {any} */ one) => one.thumbnail && !files.includes(one.name));
    return all && [upload, ...files.map((file) => ({ value: file, picture: smallOf(file) })), ...all.map((/** @type {any} */ one) => ({ value: one.name, picture: one.thumbnail }))];
  });
  return found === "" ? fromHere(app) : found;
}

/** Upload a picture. @param {App} app @returns {Promise<string | undefined>} */
const fromHere = (app) => new Promise((resolve) => {
  const field = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" });
  field.onchange = async () => resolve(field.files?.[0] && (await app.toasts.attempt(() => app.api.upload(/** @type {File} */ (field.files?.[0]), field.files?.[0].name ?? "")))?.file);
  field.oncancel = () => resolve(undefined);
  field.click();
});
