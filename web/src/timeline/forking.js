// Fork here: asks for the branch's own prompt and guidance, changes the document in one step, and runs it if wanted.
import { useRef } from "preact/hooks";
import { html } from "../html.js";
import { forkable, forkAt } from "../model/fork.js";
import { run } from "../running/index.js";
import { t } from "../text/index.js";

/** @import { App, Tab } from "../types.d.ts" */
/** @import { Forkable } from "../model/fork.js" */
/** @typedef {{prompt: string | null, scale: number | null, runs: boolean}} Answer */

/** @param {App} app @param {Tab} tab @param {string} id @param {number} step */
export async function fork(app, tab, id, step) {
  const from = forkable(app.catalog.peek(), tab.store.json.peek(), id);
  const title = t("fork.title", { step });
  /** @type {Answer | undefined} */
  const answer = await app.dialogs.open(title, ForkBody, { from, step });
  if (!answer) return;
  /** @type {string[]} */
  let made = [];
  tab.store.change(title, (json) => {
    const forked = forkAt(app.catalog.peek(), json, id, step, { prompt: answer.prompt, scale: answer.scale, title });
    made = forked.made;
    return forked.json;
  });
  tab.path.value = [];
  tab.selection.value = new Set(made);
  app.canvas?.fit();
  app.announce(t("fork.done", { count: made.length }));
  if (answer.runs) await run(app, {}, tab);
}

/** @param {{from: Forkable, step: number, close(answer?: Answer): void}} props */
function ForkBody({ from, step, close }) {
  const prompt = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const scale = useRef(/** @type {HTMLInputElement | null} */ (null));
  const answer = (/** @type {boolean} */ runs) => close({ prompt: prompt.current?.value ?? null, scale: scale.current ? Number(scale.current.value) : null, runs });
  return html`<form class="fork-fields" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), answer(true))}>
    <p>${t("fork.text", { step, rest: from.steps - step })}</p>
    ${from.prompt !== null ? html`<label>${t("fork.prompt")}<textarea ref=${prompt} rows="3" autofocus>${from.prompt}</textarea></label>` : html`<p class="dim">${t("fork.no_prompt")}</p>`}
    ${from.scale !== null && html`<label>${t("fork.scale")}<input ref=${scale} type="number" step="any" required value=${from.scale} /></label>`}
    <div class="actions"><button type="button" onClick=${() => close()}>${t("cancel")}</button>
      <button type="button" onClick=${() => answer(false)}>${t("fork.only")}</button><button class="main">${t("fork.run")}</button></div>
  </form>`;
}
