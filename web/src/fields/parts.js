// What several controls share: lists that the server has, and choosing from a long list.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @import { App } from "../types.d.ts" */
/** @import { Signal } from "@preact/signals" */
/** @typedef {{value: any, title?: string, note?: string, picture?: string | null, trouble?: string}} Option */

/** An event's handler. @param {(event: any) => unknown} work */
export const on = (work) => work;

/** @type {WeakMap<App, Map<string, Signal<any>>>} */
const kept = new WeakMap();

/** What the server has at a path; null until it has come. @param {App} app @param {string} path @param {boolean} [anew] @returns {Signal<any>} */
export function listing(app, path, anew = false) {
  const all = kept.get(app) ?? new Map();
  kept.set(app, all);
  const known = all.get(path);
  if (known && !anew) return known;
  const found = known ?? signal(null);
  all.set(path, found);
  app.toasts.attempt(async () => (found.value = await app.api.get(path)));
  return found;
}

/** Choose from a list; undefined when nothing was chosen. @param {App} app @param {string} title @param {() => Option[] | null} options Read while
 * it is shown: null until they have come. @param {any} [value] The one that counts now. @returns {Promise<any>} */
export const pick = (app, title, options, value) => app.dialogs.open(title, PickerBody, { options, value }, { wide: options()?.some((one) => one.picture) });

/** @param {{options: () => Option[] | null, value: any, close(value?: any): void}} props */
function PickerBody({ options, value, close }) {
  const [text, setText] = useState("");
  const all = options();
  const words = text.toLowerCase().split(/\s+/);
  const found = all?.filter((one) => words.every((word) => `${one.title ?? one.value} ${one.note ?? ""}`.toLowerCase().includes(word)));
  const travel = on((event) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    const stops = /** @type {HTMLElement[]} */ ([...event.currentTarget.querySelectorAll("input, li button")]);
    stops[stops.indexOf(/** @type {any} */ (document.activeElement)) + step]?.focus();
    event.preventDefault();
  });
  return html`<form class="picker" onKeyDown=${travel} onSubmit=${on((event) => (event.preventDefault(), found?.[0] && close(found[0].value)))}>
    <input type="search" autofocus aria-label=${t("search")} placeholder=${t("search")} onInput=${on((event) => setText(event.target.value))} />
    <ul>${found?.slice(0, 200).map((one) => html`<li key=${String(one.value)}><button type="button" aria-current=${one.value === value ? "true" : undefined} onClick=${() => close(one.value)}>
      ${one.picture && html`<img src=${one.picture} alt="" loading="lazy" />`}<span>${one.title ?? String(one.value)}
      ${one.note && html`<small>${one.note}</small>`}${one.trouble && html`<small class="trouble">${one.trouble}</small>`}</span></button></li>`)}</ul>
    <p class="dim" role="status">${!all ? t("app.loading") : !found?.length ? t("field.nothing") : ""}</p>
  </form>`;
}

/** A text that is taken when it reads as a value, and stays with a message beside it until it does.
 * @param {any} value @param {(text: string) => any} read Throws what to say. @param {(value: any, options?: {merge?: boolean}) => unknown} change
 * @param {(text: string) => void} say @param {(value: any) => string} shown */
export function useDraft(value, read, change, say, shown) {
  /** `of`: the values that it stands for. `512*2` goes on to be `512*25`: nothing is put in its place while one types. */
  const [kept, setKept] = useState(/** @type {{text: string, of: string[]} | null} */ (null));
  const taken = useRef("");
  const draft = kept?.of.includes(shown(value)) ? kept.text : null;
  const began = useRef(/** @type {any} */ (null));
  const setDraft = (/** @type {string | null} */ text) => {
    if (draft === null) began.current = value;
    setKept(text === null ? null : { text, of: [shown(value), taken.current, shown(began.current)] });
  };
  const drop = () => {
    setDraft(null);
    say("");
  };
  /** What was typed on the way to something else is not meant: the value is again what it was. */
  const back = () => void (began.current !== null && shown(began.current) !== shown(value) && change(began.current, { merge: true }));
  useEffect(() => {
    if (draft === null) drop();
  }, [shown(value)]);
  /** @param {string} text @param {boolean} [typing] */
  const take = (text, typing = false) => {
    try {
      const next = read(text);
      taken.current = shown(next);
      setDraft(typing ? text : null);
      say("");
      if (taken.current !== shown(value)) change(next, { merge: typing });
    } catch (error) {
      setDraft(text);
      if (typing) return;
      back();
      say(/** @type {Error} */ (error).message);
    }
  };
  const leave = () => draft !== null && take(draft);
  return { text: draft ?? shown(value), draft, take, drop, back, leave, setDraft };
}
