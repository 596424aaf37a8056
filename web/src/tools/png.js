// Masks as PNG with 16 bits of grey, written and read here because a browser's canvas has only 8. Format: PNG (W3C), sections 5, 7 and 9.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const CRC = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** @param {Uint8Array} bytes @param {TransformStream<any, any>} through @returns {Promise<Uint8Array>} */
const piped = async (bytes, through) => new Uint8Array(await new Response(new Blob([/** @type {any} */ (bytes)]).stream().pipeThrough(through)).arrayBuffer());

/** @param {string} name @param {Uint8Array} body */
function chunk(name, body) {
  const out = new Uint8Array(body.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  out.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  out.set(body, 8);
  view.setUint32(body.length + 8, crc(out.subarray(4, body.length + 8)));
  return out;
}

/** @param {Uint8Array} raw Rows, each after a byte that says: no filter. @param {number} width @param {number} height @param {[number, number]} kind Depth and colour. */
async function file(raw, width, height, kind) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set(kind, 8);
  const body = await piped(raw, new CompressionStream("deflate"));
  const parts = [new Uint8Array(SIGNATURE), chunk("IHDR", header), chunk("IDAT", body), chunk("IEND", new Uint8Array())];
  return new Blob(/** @type {any} */ (parts), { type: "image/png" });
}

/** A mask as a PNG file of 16 bits. @param {Float32Array} data Numbers 0..1, row by row. @param {number} width @param {number} height @returns {Promise<Blob>} */
export function encodeMask(data, width, height) {
  const raw = new Uint8Array(height * (1 + 2 * width));
  for (let y = 0; y < height; y++) {
    const row = y * (1 + 2 * width) + 1;
    for (let x = 0; x < width; x++) {
      const value = Math.round(Math.min(1, Math.max(0, data[y * width + x])) * 65535);
      raw[row + 2 * x] = value >> 8;
      raw[row + 2 * x + 1] = value & 0xff;
    }
  }
  return file(raw, width, height, [16, 0]);
}

/** A picture as a PNG file of red, green and blue: its opacity is left out. @param {ImageData} image @returns {Promise<Blob>} */
export function encodeRgb({ data, width, height }) {
  const raw = new Uint8Array(height * (1 + 3 * width));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0, to = y * (1 + 3 * width) + 1; x < width; x++, at += 4, to += 3) raw.set(data.subarray(at, at + 3), to);
  }
  return file(raw, width, height, [8, 2]);
}

/** A grey PNG of 8 or 16 bits as numbers 0..1; null for any other picture. @param {Uint8Array} file
 * @returns {Promise<{data: Float32Array, width: number, height: number} | null>} */
export async function decodeMask(file) {
  if (SIGNATURE.some((byte, at) => file[at] !== byte)) return null;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [width, height, depth, color, interlaced] = [view.getUint32(16), view.getUint32(20), file[24], file[25], file[28]];
  if (color !== 0 || interlaced || (depth !== 8 && depth !== 16)) return null;
  const bodies = [];
  for (let at = 8; at + 8 <= file.length;) {
    const length = view.getUint32(at);
    if (String.fromCharCode(...file.subarray(at + 4, at + 8)) === "IDAT") bodies.push(file.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const raw = await piped(new Uint8Array(await new Blob(/** @type {any} */ (bodies)).arrayBuffer()), new DecompressionStream("deflate"));
  const size = depth / 8;
  const stride = width * size;
  const data = new Float32Array(width * height);
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    const row = raw.slice(y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let at = 0; at < stride; at++) {
      const [left, up, corner] = [at >= size ? row[at - size] : 0, above[at], at >= size ? above[at - size] : 0];
      row[at] += [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
    }
    for (let x = 0; x < width; x++) data[y * width + x] = size === 1 ? row[x] / 255 : (row[2 * x] * 256 + row[2 * x + 1]) / 65535;
    above = row;
  }
  return { data, width, height };
}

/** @param {number} left @param {number} up @param {number} corner */
function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
