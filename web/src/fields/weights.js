// Weights in prompts, (word:1.1), and the word before the caret. Pure.

const STEP = 0.05;

/** Give what is marked, or the word at the caret, more or less weight; at 1 the brackets go. @param {string} text @param {number} from
 * @param {number} to @param {1 | -1} way @returns {{text: string, from: number, to: number} | null} */
export function weighted(text, from, to, way) {
  for (const found of text.matchAll(/\(([^()]*):(\d*\.?\d+)\)/g)) {
    const end = found.index + found[0].length;
    if (found.index <= from && to <= end) return replaced(text, found.index, end, found[1], Number(found[2]) + way * STEP);
  }
  if (from === to) {
    from -= /[^\s,()]*$/.exec(text.slice(0, from))?.[0].length ?? 0;
    to += /^[^\s,()]*/.exec(text.slice(to))?.[0].length ?? 0;
  }
  while (from < to && text[from] === " ") from++;
  while (to > from && text[to - 1] === " ") to--;
  return from === to ? null : replaced(text, from, to, text.slice(from, to), 1 + way * STEP);
}

/** @param {string} text @param {number} from @param {number} to @param {string} words @param {number} weight */
function replaced(text, from, to, words, weight) {
  const rounded = Math.max(0, Math.round(weight * 100) / 100);
  const put = rounded === 1 ? words : `(${words}:${rounded})`;
  const start = rounded === 1 ? from : from + 1;
  return { text: text.slice(0, from) + put + text.slice(to), from: start, to: start + words.length };
}

/** What fits the word before the caret. @param {string} text @param {number} caret @param {string[]} names As they are written in a prompt. */
export function completions(text, caret, names) {
  const word = /(?:<[^>\n]*|[^\s,()<>]*)$/.exec(text.slice(0, caret))?.[0] ?? "";
  const bare = word.toLowerCase().replace(/^(embedding:|<lora:|<|__)/, "");
  if (word.length < 2) return { word, found: [] };
  return { word, found: names.filter((name) => name.toLowerCase().startsWith(word.toLowerCase()) || (bare.length > 1 && name.toLowerCase().includes(bare))).slice(0, 8) };
}
