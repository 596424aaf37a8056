// A prompt: text with weights (Ctrl+Up, Ctrl+Down), which offers embeddings, LoRAs and wildcards by name while one types.
import { useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../text/index.js";
import { listing, on } from "./parts.js";
import { completions, weighted } from "./weights.js";

/** @import { ControlProps } from "./index.js" */

const WRITTEN = /** @type {Record<string, (name: string) => string>} */ ({
  embedding: (name) => `embedding:${name}`, lora: (name) => `<lora:${name}:1>`, wildcard: (name) => `__${name}__`,
});

/** @param {ControlProps} props */
export function Prompt({ app, input, value, change, height, attrs, where }) {
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [offer, setOffer] = useState({ word: "", found: /** @type {string[]} */ ([]) });
  const [at, setAt] = useState(0);
  const names = () => (listing(app, "/api/models").peek()?.models ?? []).flatMap((/** @type {any} */ one) => WRITTEN[one.kind]?.(one.name.replace(/\.safetensors$/, "")) ?? []);
  const close = () => setOffer({ word: "", found: [] });
  /** @param {string} text @param {number} from @param {number} to */
  const write = (text, from, to) => {
    const element = /** @type {HTMLTextAreaElement} */ (area.current);
    element.value = text; // at once, so that the caret can be set
    element.setSelectionRange(from, to);
    change(text, { merge: true });
  };
  const take = (/** @type {number} */ index) => {
    const element = /** @type {HTMLTextAreaElement} */ (area.current);
    const end = element.selectionStart;
    const before = element.value.slice(0, end - offer.word.length) + offer.found[index];
    write(before + element.value.slice(end), before.length, before.length);
    close();
  };
  const type = on((event) => {
    change(event.target.value, { merge: true });
    setOffer(completions(event.target.value, event.target.selectionStart, names()));
    setAt(0);
  });
  const press = on((event) => {
    if (event.isComposing) return; // the keys are the input method's
    const way = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    const count = offer.found.length;
    if (way && (event.ctrlKey || event.metaKey)) {
      const { value: text, selectionStart, selectionEnd } = event.target;
      const after = weighted(text, selectionStart, selectionEnd, /** @type {1 | -1} */ (way));
      if (after) write(after.text, after.from, after.to);
    } else if (!count) return;
    else if (way) setAt((at - way + count) % count);
    else if (event.key === "Escape") close();
    else if ((event.key === "Enter" || event.key === "Tab") && !event.ctrlKey && !event.metaKey) take(at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const open = offer.found.length > 0;
  const list = `${attrs.id}-offers`;
  const combobox = open ? { role: "combobox", "aria-expanded": "true", "aria-autocomplete": "list", "aria-controls": list, "aria-activedescendant": `${list}-${at}` } : {};
  return html`<textarea ref=${area} ...${attrs} ...${combobox} style=${{ height: `${height}px` }} placeholder=${attrs.placeholder ?? (where === "node" ? input.title : "")} value=${value ?? ""}
      onFocus=${() => listing(app, "/api/models")} onInput=${type} onKeyDown=${press} onBlur=${close}></textarea>
    ${open && html`<ul class="offers" id=${list} role="listbox" aria-label=${t("prompt.offers")}>${offer.found.map((name, index) => html`<li key=${name} id=${`${list}-${index}`} role="option"
      aria-selected=${index === at} data-control onPointerDown=${on((event) => (event.preventDefault(), take(index)))}>${name}</li>`)}</ul>`}`;
}
