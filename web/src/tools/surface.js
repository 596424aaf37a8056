// What is painted on: layers of numbers between 0 and 1 (a mask), or of colours (a sketch). Every stroke is a patch that can be taken back.

/** @typedef {{x: number, y: number, width: number, height: number}} Rect */
/** One channel (a mask) or four (a sketch: red, green, blue, cover). @typedef {{name: string, visible: boolean, opacity: number, data: Float32Array}} Layer */
/** @typedef {{data: Float32Array, rect: Rect, before: Float32Array, after: Float32Array} | {what: string, before: Layer[], after: Layer[]}} Patch */
/** @typedef {ReturnType<typeof createSurface>} Surface */

const MOST_UNDO = 60;
const UNDO_NUMBERS = 5e7; // 200 MB

/** @param {Patch} patch */
const sizeOf = (patch) => ("data" in patch ? 2 * patch.after.length : patch.before.length > patch.after.length ? patch.before[0].data.length : 0);

/** @param {number} width @param {number} height @param {1 | 4} channels */
export function createSurface(width, height, channels) {
  const whole = { x: 0, y: 0, width, height };
  const count = width * height * channels;
  let layers = [blankLayer("1")];
  let active = 0;
  /** @type {Patch[]} */
  let done = [];
  /** @type {Patch[]} */
  let undone = [];
  /** The layer as it was before the stroke that is under way (copied once, then kept in step), how far the stroke covers each pixel, and what it
   * touched. */
  const before = new Float32Array(count);
  let copied = /** @type {Float32Array | null} */ (null);
  const covered = new Float32Array(width * height);
  let touched = /** @type {Rect | null} */ (null);
  let under = false;

  /** @param {string} name @returns {Layer} */
  function blankLayer(name) {
    return { name, visible: true, opacity: 1, data: new Float32Array(count) };
  }

  /** @param {Rect} rect @returns {Rect} */
  function clipped({ x, y, width: w, height: h }) {
    const [left, top] = [Math.max(0, Math.floor(x)), Math.max(0, Math.floor(y))];
    const [right, bottom] = [Math.min(width, Math.ceil(x + w)), Math.min(height, Math.ceil(y + h))];
    return { x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
  }

  /** @param {Float32Array} data @param {Rect} rect */
  function cut(data, rect) {
    const out = new Float32Array(rect.width * rect.height * channels);
    for (let row = 0; row < rect.height; row++) {
      const from = ((rect.y + row) * width + rect.x) * channels;
      out.set(data.subarray(from, from + rect.width * channels), row * rect.width * channels);
    }
    return out;
  }

  /** @param {Float32Array} data @param {Rect} rect @param {Float32Array} piece */
  function paste(data, rect, piece) {
    for (let row = 0; row < rect.height; row++) {
      data.set(piece.subarray(row * rect.width * channels, (row + 1) * rect.width * channels), ((rect.y + row) * width + rect.x) * channels);
    }
  }

  /** @param {Patch} patch */
  function keep(patch) {
    done = [...done.slice(-MOST_UNDO + 1), patch];
    undone = [];
    for (let sum = done.reduce((all, one) => all + sizeOf(one), 0); sum > UNDO_NUMBERS && done.length > 1;) sum -= sizeOf(/** @type {Patch} */ (done.shift()));
  }

  /** @param {Patch} patch @param {"before" | "after"} which */
  function restore(patch, which) {
    if ("data" in patch) {
      for (const data of copied === patch.data ? [copied, before] : [patch.data]) paste(data, patch.rect, patch[which]);
      return patch.rect;
    }
    layers = patch[which];
    active = Math.min(active, layers.length - 1);
    return whole;
  }

  /** Change the list of layers, as one step; the same thing again (a slider) belongs to the same step.
   * @param {(layers: Layer[]) => Layer[]} work @param {string} [what] */
  function relist(work, what = "") {
    const last = done.at(-1);
    const from = layers;
    layers = work(layers);
    active = Math.min(Math.max(0, active), layers.length - 1);
    if (what && last && "what" in last && last.what === what && !undone.length) last.after = layers;
    else keep({ what, before: from, after: layers });
  }

  /** The stroke is over. */
  function rest() {
    const rect = touched;
    if (rect) for (let row = rect.y; row < rect.y + rect.height; row++) covered.fill(0, row * width + rect.x, row * width + rect.x + rect.width);
    [touched, under] = [null, false];
    return rect;
  }

  const surface = {
    width, height, channels, whole,
    get layers() {
      return layers;
    },
    set layers(next) {
      [layers, active, done, undone, copied] = [next, 0, [], [], null];
    },
    get active() {
      return active;
    },
    set active(next) {
      active = next;
    },
    get canUndo() {
      return done.length > 0;
    },
    get canRedo() {
      return undone.length > 0;
    },
    /** How much was done so far, by what was done last. */
    get state() {
      return done.at(-1);
    },
    /** The stroke begins: what follows until `end` is one step. */
    begin() {
      const { data } = layers[active];
      if (copied !== data) before.set(data);
      [copied, under] = [data, true];
    },
    /** Cover a rectangle by `cover(x, y)` of 0..1 with a value (a mask: 1; a sketch: three channels), or take it away. Within one stroke the
     * strongest cover counts: nothing adds up where the brush passes twice.
     * @param {Rect} area @param {(x: number, y: number) => number} cover @param {{erase?: boolean, color?: number[]}} [how] @returns {Rect} What was touched. */
    paint(area, cover, { erase = false, color = [0, 0, 0] } = {}) {
      const rect = clipped(area);
      const { data } = layers[active];
      for (let y = rect.y; y < rect.y + rect.height; y++) {
        for (let pixel = y * width + rect.x, x = rect.x; x < rect.x + rect.width; x++, pixel++) {
          const c = cover(x + 0.5, y + 0.5);
          if (c <= covered[pixel]) continue;
          covered[pixel] = c;
          const at = pixel * channels + channels - 1;
          const was = before[at];
          data[at] = erase ? was * (1 - c) : was + (1 - was) * c;
          if (channels === 4 && !erase) for (let one = 0; one < 3; one++) data[at - 3 + one] = (color[one] * c + before[at - 3 + one] * was * (1 - c)) / data[at];
        }
      }
      if (rect.width && rect.height) touched = touched ? joined(touched, rect) : rect;
      return rect;
    },
    /** Make something else of all of the layer as it was before the stroke. @param {(before: Float32Array) => Float32Array} work */
    become(work) {
      layers[active].data.set(work(before));
      return (touched = whole);
    },
    end() {
      const rect = under ? rest() : null;
      const { data } = layers[active];
      if (!rect) return;
      const after = cut(data, rect);
      keep({ data, rect, before: cut(before, rect), after });
      paste(before, rect, after);
    },
    /** The stroke was not meant; what it had touched. */
    cancel() {
      const rect = under ? rest() : null;
      if (rect) paste(layers[active].data, rect, cut(before, rect));
      return rect ?? { ...whole, width: 0, height: 0 };
    },
    /** Replace all of the active layer by what `work` makes of it, as one step. @param {(data: Float32Array) => Float32Array} work */
    change(work) {
      surface.begin();
      surface.become(work);
      surface.end();
      return whole;
    },
    /** The step before; what it touched. */
    undo() {
      const patch = done.at(-1);
      if (!patch) return null;
      [done, undone] = [done.slice(0, -1), [...undone, patch]];
      return restore(patch, "before");
    },
    redo() {
      const patch = undone.at(-1);
      if (!patch) return null;
      [undone, done] = [undone.slice(0, -1), [...done, patch]];
      return restore(patch, "after");
    },
    addLayer: () => (relist((all) => [...all, blankLayer(String(all.length + 1))]), (active = layers.length - 1)),
    removeLayer: () => relist((all) => (all.length > 1 ? all.filter((_, place) => place !== active) : [blankLayer("1")])),
    /** @param {number} place @param {Partial<Layer>} what */
    setLayer: (place, what) => relist((all) => all.map((layer, at) => (at === place ? { ...layer, ...what } : layer)), `${place} ${Object.keys(what)}`),
    /** Move the active layer up (1) or down (-1). @param {number} by */
    moveLayer(by) {
      const to = active + by;
      if (!layers[to]) return;
      relist((all) => all.with(to, all[active]).with(active, all[to]));
      active = to;
    },
    /** The layers as one, in a rectangle: numbers 0..1. Of a mask the strongest cover counts; colours lie over each other, and come
     * multiplied by their cover. @param {Rect} [area] */
    flat(area = whole) {
      const rect = clipped(area);
      const out = new Float32Array(rect.width * rect.height * channels);
      for (const layer of layers) {
        if (!layer.visible) continue;
        const piece = cut(layer.data, rect);
        for (let at = 0; at < piece.length; at += channels) {
          if (channels === 1) out[at] = Math.max(out[at], piece[at] * layer.opacity);
          else {
            const c = piece[at + 3] * layer.opacity;
            for (let channel = 0; channel < 3; channel++) out[at + channel] = out[at + channel] * (1 - c) + piece[at + channel] * c;
            out[at + 3] = c + out[at + 3] * (1 - c);
          }
        }
      }
      return { rect, data: out };
    },
  };
  return surface;
}

/** @param {Rect} a @param {Rect} b @returns {Rect} */
export function joined(a, b) {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return { x, y, width: Math.max(a.x + a.width, b.x + b.width) - x, height: Math.max(a.y + a.height, b.y + b.height) - y };
}
