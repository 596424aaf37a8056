// How far two pictures are apart, pixel by pixel.

/** The pixels of a picture, laid into a size. @param {CanvasImageSource} picture @param {number} width @param {number} height */
export function pixelsOf(picture, width, height) {
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true }));
  context.drawImage(picture, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** Peak signal-to-noise ratio over red, green and blue, in decibels; Infinity where they are equal. @param {Uint8ClampedArray} a @param {Uint8ClampedArray} b */
export function psnr(a, b) {
  let sum = 0;
  for (let place = 0; place < a.length; place++) if (place % 4 !== 3) sum += (a[place] - b[place]) ** 2;
  return sum ? 10 * Math.log10((255 ** 2 * a.length * 0.75) / sum) : Infinity;
}

/** |a - b| times `gain`, opaque. @param {Uint8ClampedArray} a @param {Uint8ClampedArray} b @param {number} gain */
export function difference(a, b, gain) {
  const out = new Uint8ClampedArray(a.length);
  for (let place = 0; place < a.length; place++) out[place] = place % 4 === 3 ? 255 : gain * Math.abs(a[place] - b[place]);
  return out;
}
