// How tools cover pixels: pure functions of places, and of whole layers.

/** @import { Rect } from "./surface.js" */

/** A round brush drawn from a to b. @param {number} ax @param {number} ay @param {number} bx @param {number} by @param {number} radius
 * @param {number} hardness 0..1: the share of the radius that is covered whole. @returns {{area: Rect, cover: (x: number, y: number) => number}} */
export function line(ax, ay, bx, by, radius, hardness) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const core = Math.max(0, radius * hardness - 0.5);
  const soft = Math.max(1, radius + 0.5 - core);
  return {
    area: { x: Math.min(ax, bx) - radius - 1, y: Math.min(ay, by) - radius - 1, width: Math.abs(dx) + 2 * radius + 2, height: Math.abs(dy) + 2 * radius + 2 },
    cover(x, y) {
      const share = length ? Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
      const distance = Math.hypot(x - ax - share * dx, y - ay - share * dy);
      if (distance <= core) return 1;
      const away = (distance - core) / soft;
      return away >= 1 ? 0 : 1 - away * away * (3 - 2 * away); // smooth at both ends
    },
  };
}

const ROWS = [0.125, 0.375, 0.625, 0.875].map((part) => part - 0.5); // of a pixel, so that slanted edges are soft

/** The inside of a polygon (even-odd). Pixels are asked for row by row. @param {[number, number][]} points */
export function polygon(points) {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  let row = NaN;
  /** Where the edges cross each part of the row, in order. @type {number[][]} */
  let crossings = [];
  const crossed = (/** @type {number} */ py) => points.flatMap(([ax, ay], i) => {
    const [bx, by] = points.at(i - 1) ?? [0, 0];
    return ay > py !== by > py ? [((bx - ax) * (py - ay)) / (by - ay) + ax] : [];
  }).sort((a, b) => a - b);
  return {
    area: { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y },
    /** @param {number} px @param {number} py */
    cover(px, py) {
      if (py !== row) [row, crossings] = [py, ROWS.map((part) => crossed(py + part))];
      let inside = 0;
      for (const at of crossings) for (let i = 0; i + 1 < at.length; i += 2) inside += Math.max(0, Math.min(at[i + 1], px + 0.5) - Math.max(at[i], px - 0.5));
      return inside / ROWS.length;
    },
  };
}

/** What belongs together with a pixel: neighbours that differ by at most `tolerance`. @param {Float32Array | Uint8ClampedArray} data @param {number} channels
 * @param {number} width @param {number} height @param {number} x @param {number} y @param {number} tolerance @returns {Uint8Array} 1 where it belongs. */
export function flood(data, channels, width, height, x, y, tolerance) {
  const found = new Uint8Array(width * height);
  const start = Math.floor(y) * width + Math.floor(x);
  const near = (/** @type {number} */ at) => {
    for (let channel = 0; channel < channels; channel++) if (Math.abs(data[at * channels + channel] - data[start * channels + channel]) > tolerance) return false;
    return true;
  };
  const open = [start];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (found[at] || !near(at)) continue;
    found[at] = 1;
    const column = at % width;
    if (column > 0) open.push(at - 1);
    if (column < width - 1) open.push(at + 1);
    if (at >= width) open.push(at - width);
    if (at < width * (height - 1)) open.push(at + width);
  }
  return found;
}

const PASSES = 4;

/** A Gaussian blur, its edges repeated. A narrow one is added up; a wide one is a box of any width, four times over, so that its time does not grow
 * with sigma (Gwosdek et al. 2011). @param {Float32Array} data One channel. @param {number} width @param {number} height @param {number} sigma Pixels. */
export function feather(data, width, height, sigma) {
  if (sigma <= 0) return data;
  const one = (sigma * sigma) / PASSES;
  const radius = Math.floor((Math.sqrt(12 * one + 1) - 1) / 2);
  const rest = ((2 * radius + 1) * (radius * (radius + 1) - 3 * one)) / (6 * (one - (radius + 1) ** 2)); // of a pixel at each end of the box
  const reach = Math.max(8, PASSES * (radius + 1));
  const bell = Array.from({ length: 17 }, (_, at) => Math.exp(-((at - 8) ** 2) / (2 * sigma * sigma)));
  const sum = bell.reduce((a, b) => a + b);
  /** @param {Float64Array} from @param {Float64Array} to */
  const added = (from, to) => {
    for (let at = 8; at < from.length - 8; at++) for (let k = (to[at] = 0); k < 17; k++) to[at] += (bell[k] / sum) * from[at + k - 8];
    return to;
  };
  /** @param {Float64Array} from @param {Float64Array} to */
  const boxed = (from, to) => {
    for (let time = 1; time <= PASSES; time++) {
      let whole = 0;
      for (let at = 0; at <= 2 * radius; at++) whole += from[at];
      for (let at = radius; at < from.length - radius; at++) {
        to[at] = (whole + rest * ((from[at - radius - 1] ?? 0) + (from[at + radius + 1] ?? 0))) / (2 * (radius + rest) + 1);
        whole += (from[at + radius + 1] ?? 0) - from[at - radius];
      }
      [from, to] = [to, from];
    }
    return from;
  };
  const out = data.slice();
  for (const [step, length, lines, next] of [[1, width, height, width], [width, height, width, 1]]) {
    const [line, spare] = [new Float64Array(length + 2 * reach), new Float64Array(length + 2 * reach)];
    for (let place = 0; place < lines; place++) {
      for (let at = 0; at < line.length; at++) line[at] = out[place * next + Math.min(length - 1, Math.max(0, at - reach)) * step];
      const soft = (sigma < 2 ? added : boxed)(line, spare);
      for (let at = 0; at < length; at++) out[place * next + at * step] = Math.min(1, Math.max(0, soft[at + reach]));
    }
  }
  return out;
}

/** A mask at another size, between its pixels. @param {{data: Float32Array, width: number, height: number}} mask @param {number} width @param {number} height */
export function resized(mask, width, height) {
  if (mask.width === width && mask.height === height) return mask.data;
  const out = new Float32Array(width * height);
  const place = (/** @type {number} */ at, /** @type {number} */ to, /** @type {number} */ size) => Math.min(size - 1, Math.max(0, ((at + 0.5) / to) * size - 0.5));
  for (let y = 0; y < height; y++) {
    const v = place(y, height, mask.height);
    for (let x = 0; x < width; x++) {
      const u = place(x, width, mask.width);
      const at = Math.floor(v) * mask.width + Math.floor(u);
      const [right, down] = [Number(u % 1 > 0), v % 1 > 0 ? mask.width : 0];
      const { data } = mask;
      out[y * width + x] = (data[at] * (1 - (u % 1)) + data[at + right] * (u % 1)) * (1 - (v % 1)) + (data[at + down] * (1 - (u % 1)) + data[at + down + right] * (u % 1)) * (v % 1);
    }
  }
  return out;
}

/** The rectangle around what was found. @param {Uint8Array} found @param {number} width @param {number} height */
export function bounds(found, width, height) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let at = 0; at < found.length; at++) {
    if (!found[at]) continue;
    const [x, y] = [at % width, Math.floor(at / width)];
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  }
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}
