// Every text that people read, by key. A language is a module beside this one; English stands in for what another lacks.
import { signal } from "@preact/signals";
import { texts as english } from "./en.js";

/** Languages by their tags. A language that is not English is fetched when it is chosen. */
export const LANGUAGES = /** @type {const} */ ({ en: "English", de: "Deutsch" });

export const language = signal("en");
let texts = /** @type {Record<string, string>} */ (english);

/** Take a language; the page is drawn anew by whoever reads `language`. @param {string} tag */
export async function choose(tag) {
  const known = tag in LANGUAGES ? tag : "en";
  texts = known === "de" ? (await import("./de.js")).texts : english;
  document.documentElement.lang = known;
  language.value = known;
}

/** The text of a key, with `{name}` filled in. A plural has two keys, `key` for many and `key.one`; `count` decides.
 * @param {string} key @param {Record<string, string | number>} [values] @returns {string} */
export function t(key, values) {
  const one = values?.count === 1 ? `${key}.one` : key;
  const text = texts[one] ?? texts[key] ?? english[one] ?? english[key] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole)) : text;
}
