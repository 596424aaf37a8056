// Ids that are made up. `crypto.randomUUID` is not there on pages that a phone has over plain HTTP; this is.

/** So many random hexadecimal digits. @param {number} [length] */
export const freshId = (length = 32) =>
  Array.from(crypto.getRandomValues(new Uint8Array(length / 2)), (byte) => byte.toString(16).padStart(2, "0")).join("");
