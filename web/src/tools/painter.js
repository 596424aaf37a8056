// One painting in progress: the tool in hand, from where it is looked at, and what of it has to be drawn again. Knows no page but its canvas.
import { signal } from "@preact/signals";
import { bounds, feather, flood, line, polygon } from "./brushes.js";
import { joined } from "./surface.js";

/** @import { Rect, Surface } from "./surface.js" */
/** @typedef {"brush" | "eraser" | "fill" | "lasso" | "pick"} Tool */
/** @typedef {ReturnType<typeof createPainter>} Painter */

const TINT_COVER = 0.62;
const [LEAST_ZOOM, MOST_ZOOM] = [0.02, 32];

/** @param {string} hex `#rrggbb` */
export const channelsOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);

/** @param {number[]} channels */
const hexOf = (channels) => `#${channels.slice(0, 3).map((one) => Math.round(one * 255).toString(16).padStart(2, "0")).join("")}`;

/** @param {Surface} surface @param {CanvasImageSource | null} picture What lies below. */
export function createPainter(surface, picture) {
  const { width, height, channels } = surface;
  const isMask = channels === 1;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  const size = Math.max(1, Math.round(Math.max(width, height) / 16));
  const begun = surface.state;
  let dirty = /** @type {Rect | null} */ (null);
  let from = /** @type {[number, number] | null} */ (null);
  let stroking = false;

  /** Draw a part again, with the next frame. @param {Rect | null} rect */
  function touch(rect) {
    if (!rect?.width) return;
    if (!dirty) requestAnimationFrame(draw);
    dirty = dirty ? joined(dirty, rect) : rect;
  }

  function draw() {
    if (!dirty) return;
    const { rect, data } = surface.flat(dirty);
    dirty = null;
    const image = new ImageData(rect.width, rect.height);
    const [tint, cover] = painter.only.peek() ? [[1, 1, 1], 255] : [channelsOf(painter.tint.peek()), 255 * TINT_COVER];
    for (let at = 0, to = 0; at < data.length; at += channels, to += 4) {
      const share = isMask ? data[at] : data[at + 3];
      if (share <= 0) continue;
      for (let one = 0; one < 3; one++) image.data[to + one] = 255 * (isMask ? tint[one] : data[at + one] / share);
      image.data[to + 3] = share * (isMask ? cover : 255);
    }
    context.putImageData(image, rect.x, rect.y);
  }


  /** What lies below the layers, and (`all`) the layers upon it. @param {boolean} all */
  function drawn(all) {
    const paper = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext("2d", { alpha: false }));
    paper.fillStyle = painter.background.peek();
    paper.fillRect(0, 0, width, height);
    if (picture && (isMask || !all || painter.under.peek())) paper.drawImage(picture, 0, 0, width, height);
    if (all) {
      draw();
      paper.drawImage(canvas, 0, 0);
    }
    return paper;
  }

  const how = () => ({
    erase: painter.tool.peek() === "eraser" || (painter.taking.peek() && painter.tool.peek() !== "brush"), color: channelsOf(painter.color.peek()),
  });
  const did = () => void painter.version.value++;

  const painter = {
    surface, canvas, picture, isMask,
    tool: signal(/** @type {Tool} */ ("brush")),
    size: signal(size),
    hardness: signal(0.8),
    tolerance: signal(0.1),
    /** Whether the colours of the picture decide how far a fill goes, or what is painted. */
    byPicture: signal(isMask && picture !== null),
    /** Whether fill and lasso take away. */
    taking: signal(false),
    color: signal("#3b7dd8"),
    background: signal(isMask ? "#000000" : "#ffffff"),
    under: signal(picture !== null),
    tint: signal("#f0288c"),
    only: signal(false),
    camera: signal({ x: 0, y: 0, zoom: 1 }),
    /** Where the keys paint. */
    cursor: signal(/** @type {[number, number]} */ ([Math.round(width / 2), Math.round(height / 2)])),
    /** Of the lasso that is not closed. */
    corners: signal(/** @type {[number, number][]} */ ([])),
    /** The radius of a feather that is tried out. */
    feathering: signal(/** @type {number | null} */ (null)),
    /** Counts what was done: layers and undo are read again. */
    version: signal(0),
    get unsaved() {
      return surface.state !== begun;
    },
    all: () => touch(surface.whole),
    drawn,

    /** The tool touches the picture. @param {number} x @param {number} y @param {{pressure?: number, straight?: boolean}} [given] `straight`: a line from where
     * it was last. */
    press(x, y, { pressure = 1, straight = false } = {}) {
      if (painter.feathering.peek() !== null) return;
      const tool = painter.tool.peek();
      if (tool === "fill") return painter.fill(x, y);
      if (tool === "pick") return void (painter.color.value = hexOf([...drawn(true).getImageData(Math.floor(x), Math.floor(y), 1, 1).data].map((one) => one / 255)));
      if (tool === "lasso") return void (painter.corners.value = [...painter.corners.peek(), [x, y]]);
      surface.begin();
      stroking = true;
      if (!straight || !from) from = [x, y];
      painter.move(x, y, pressure);
    },
    /** @param {number} x @param {number} y @param {number} [pressure] */
    move(x, y, pressure = 1) {
      if (painter.tool.peek() === "lasso") return void (painter.corners.value = [...painter.corners.peek(), [x, y]]);
      if (!stroking || !from) return;
      const { area, cover } = line(...from, x, y, Math.max(0.5, (painter.size.peek() / 2) * pressure), painter.hardness.peek());
      touch(surface.paint(area, cover, how()));
      from = [x, y];
    },
    lift() {
      if (!stroking) return;
      stroking = false;
      surface.end();
      did();
    },
    /** The stroke was not meant: a second finger came. */
    drop() {
      painter.corners.value = [];
      if (stroking) touch(surface.cancel());
      stroking = false;
    },
    closeLasso() {
      const corners = painter.corners.peek();
      painter.corners.value = [];
      if (corners.length < 3) return;
      const { area, cover } = polygon(corners);
      painter.step(() => surface.paint(area, cover, how()));
    },
    /** @param {number} x @param {number} y */
    fill(x, y) {
      if (x < 0 || y < 0 || x >= width || y >= height) return;
      const [picked, near] = [painter.byPicture.peek() && picture !== null, painter.tolerance.peek()];
      const found = picked || !isMask ? flood(drawn(!picked).getImageData(0, 0, width, height).data, 4, width, height, x, y, near * 255)
        : flood(surface.flat().data, 1, width, height, x, y, near);
      painter.step(() => surface.paint(bounds(found, width, height), (px, py) => found[Math.floor(py) * width + Math.floor(px)], how()));
    },
    /** Do something as one step. @param {() => Rect} work */
    step(work) {
      surface.begin();
      touch(work());
      surface.end();
      did();
    },
    invert: () => painter.step(() => surface.become((data) => data.map((one) => 1 - one))),
    clear: () => painter.step(() => surface.become((data) => new Float32Array(data.length))),
    /** Try a feather; undefined: it stays, null: it goes. @param {number | null} [sigma] */
    feather(sigma) {
      const now = painter.feathering.peek();
      if (typeof sigma === "number") {
        if (now === null) surface.begin();
        else if (now === sigma) return;
        painter.feathering.value = sigma;
        requestAnimationFrame(() => sigma === painter.feathering.peek() && touch(surface.become((data) => feather(data, width, height, sigma))));
        return;
      }
      painter.feathering.value = null;
      if (sigma === null) return touch(surface.cancel());
      surface.become((data) => feather(data, width, height, now ?? 0));
      surface.end();
      painter.all();
      did();
    },
    /** Change the layers. @param {(surface: Surface) => unknown} work */
    layers(work) {
      work(surface);
      painter.all();
      did();
    },
    undo: () => void (painter.feathering.peek() === null && (painter.drop(), touch(surface.undo()), did())),
    redo: () => void (painter.feathering.peek() === null && (touch(surface.redo()), did())),

    /** Zoom by a factor, about a point of the view. @param {number} factor @param {number} x @param {number} y */
    zoomBy(factor, x, y) {
      const { x: left, y: top, zoom } = painter.camera.peek();
      const to = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, zoom * factor));
      painter.camera.value = { zoom: to, x: x - ((x - left) / zoom) * to, y: y - ((y - top) / zoom) * to };
    },
    /** @param {number} x @param {number} y */
    panBy(x, y) {
      const { x: left, y: top, zoom } = painter.camera.peek();
      painter.camera.value = { x: left + x, y: top + y, zoom };
    },
    /** The whole in the middle of the view, or at its own size. @param {number} w @param {number} h @param {number} [zoom] */
    fit(w, h, zoom = Math.min(MOST_ZOOM, (0.94 * w) / width, (0.94 * h) / height)) {
      painter.camera.value = { zoom, x: (w - width * zoom) / 2, y: (h - height * zoom) / 2 };
    },
  };
  if (!isMask) painter.hardness.value = 1;
  return painter;
}
