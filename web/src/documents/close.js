// What is to become of unsaved work when its tab is closed.
import { html } from "../html.js";
import { t } from "../text/index.js";

/** @param {{title: string, close(answer?: "save" | "draft" | "discard"): void}} props */
export const CloseBody = ({ title, close }) => html`<p>${t("closing.text", { title })}</p>
  <div class="actions"><button type="button" onClick=${() => close("discard")}>${t("closing.discard")}</button>
    <button type="button" onClick=${() => close("draft")}>${t("closing.draft")}</button>
    <button type="button" class="main" autofocus onClick=${() => close("save")}>${t("save")}</button></div>`;
