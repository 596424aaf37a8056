// The result of an inpainting beside the picture it was made from: it becomes the new picture, or it does not.
import { setValue } from "../model/edit.js";
import { html } from "../html.js";
import { accept } from "../tabs.js";
import { t } from "../text/index.js";
import { Compare } from "../views/compare.js";
import { withNewSeeds } from "../running/needing.js";

/** @import { App, Tab } from "../types.d.ts" */
/** What ended: whose it is, the picture that it began from and where that stands, and the picture that it gave.
 * @typedef {{tab: Tab, node: string, before: string, after: string}} Staged */

/** @param {App} app @param {Staged} staged */
export async function stage(app, { tab, node, before, after }) {
  const answer = await app.dialogs.open(t("stage.title"), StagedBody, { before: `/api/inputs/file?name=${encodeURIComponent(before)}`, after }, { wide: true });
  if (answer === "accept") {
    return app.toasts.attempt(async () => {
      const { file } = await app.api.upload(await (await fetch(after)).blob(), "inpainted.png");
      accept(tab, { kind: "file", name: file });
      tab.store.change(t("stage.accepted"), (json) => /** @type {any} */ (setValue(json, node, "path", file)));
      app.toasts.show(t("stage.accepted"));
    });
  }
  if (answer === "refuse") return app.commands.run("mask.edit");
  if (answer !== "again") return undefined;
  tab.store.change(t("stage.again"), (json) => withNewSeeds(app.catalog.peek(), json));
  return app.commands.run("run.all");
}

/** @param {{before: string, after: string, close(answer?: string): void}} props */
const StagedBody = ({ before, after, close }) => html`<div class="staged"><${Compare} before=${before} after=${after} /></div><p>${t("stage.text")}</p>
  <div class="actions">${["again", "refuse", "accept"].map((one) => html`<button type="button" key=${one} class=${one === "accept" ? "main" : ""} onClick=${() => close(one)}>${t(`stage.${one}`)}</button>`)}</div>`;
