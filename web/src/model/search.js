// Which node types a text means, the best first. Every word has to be found somewhere; where it is found decides.

/** @import { NodeSpec } from "../types.d.ts" */

/** @type {WeakMap<NodeSpec, {title: string, words: string[], initials: string, id: string, place: string, text: string}>} */
const lowered = new WeakMap();

/** @param {NodeSpec} spec */
function wordsOf(spec) {
  let known = lowered.get(spec);
  if (!known) {
    const title = spec.title.toLowerCase();
    const words = title.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
    known = { title, words, initials: words.map((word) => word[0]).join(""), id: spec.id.toLowerCase(), place: spec.category.toLowerCase(), text: spec.description.toLowerCase() };
    lowered.set(spec, known);
  }
  return known;
}

/** Whether the letters of a word come in this order in a text, the first of them first. @param {string} word @param {string} text */
function inOrderOf(word, text) {
  let place = 0;
  for (const letter of text) if (letter === word[place]) place++;
  return text[0] === word[0] && place === word.length;
}

/** @param {ReturnType<typeof wordsOf>} spec @param {string} word */
function weight({ title, words, initials, id, place, text }, word) {
  if (title === word) return 100;
  if (title.startsWith(word)) return 90;
  if (words.some((one) => one.startsWith(word))) return 80;
  if (title.includes(word)) return 70;
  if (initials.startsWith(word)) return 65;
  if (id.split("/").at(-1)?.includes(word)) return 60;
  if (word.length > 1 && words.some((one) => inOrderOf(word, one))) return 50;
  if (place.includes(word) || id.includes(word)) return 40;
  return text.includes(word) ? (new RegExp(`(^|[^\\p{L}])${word.replace(/[^\p{L}\p{N}]/gu, "\\$&")}`, "u").test(text) ? 30 : 20) : 0;
}

/** The types that a text means. Without a text: those used last, then all by their names. Deprecated ones come last.
 * @template {NodeSpec} T @param {T[]} specs @param {string} text @param {readonly string[]} [recent] Ids, the last one first.
 * @param {(spec: T) => number} [far] How far each is from what is wanted: without a text the nearest come first. @returns {T[]} */
export function ranked(specs, text, recent = [], far = () => 0) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [];
  for (const spec of specs) {
    const known = wordsOf(spec);
    let score = spec.deprecated ? -10000 : 0;
    let all = true;
    for (const word of words) {
      const one = weight(known, word);
      all &&= one > 0;
      score += one;
    }
    if (!all) continue;
    const last = recent.indexOf(spec.id);
    if (!words.length) score -= 2000 * far(spec);
    if (last >= 0) score += words.length ? 5 - last / 4 : 1000 - last;
    rows.push({ spec, score: words.length ? score - known.title.length / 50 : score });
  }
  return rows.sort((a, b) => b.score - a.score || (a.spec.title < b.spec.title ? -1 : 1)).map((row) => row.spec);
}
