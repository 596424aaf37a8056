// Two pictures, one over the other: a slider moves the border between them.
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @param {{before: string | undefined, after: string | undefined}} props */
export function Compare({ before, after }) {
  const [share, setShare] = useState(50);
  return html`<div class="compare" data-control>
    <img src=${before} alt=${t("views.before")} draggable="false" />
    <img src=${after} alt=${t("views.after")} draggable="false" style=${{ clipPath: `inset(0 0 0 ${share}%)` }} />
    <span class="border" style=${{ left: `${share}%` }}></span>
    <input type="range" min="0" max="100" value=${share} aria-label=${t("views.compare")} onInput=${(/** @type {any} */ event) => setShare(event.target.valueAsNumber)} />
  </div>`;
}
