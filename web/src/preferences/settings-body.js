// The settings of this browser, as a form. They count at once and are kept.
import { html } from "../html.js";
import { LANGUAGES, choose, language, t } from "../text/index.js";

/** @import { App } from "../types.d.ts" */

/** What there is to choose. @type {Record<string, string[]>} */
const CHOICES = { theme: ["system", "light", "dark"], contrast: ["system", "more"], motion: ["system", "less"] };
const SWITCHES = /** @type {const} */ (["snap", "grid", "minimap", "previews", "run_on_change"]);

/** @param {{app: App}} props */
export function SettingsBody({ app }) {
  const settings = /** @type {Record<string, {value: any}>} */ (/** @type {unknown} */ (app.settings));
  return html`<div class="settings">
    <label>${t("settings.language")}
      <select value=${language.value} onChange=${(/** @type {any} */ event) => change(app, event.target.value)}>
        ${Object.entries(LANGUAGES).map(([tag, name]) => html`<option value=${tag} lang=${tag}>${name}</option>`)}</select></label>
    ${Object.entries(CHOICES).map(([name, values]) => html`<label key=${name}>${t(`settings.${name}`)}
      <select value=${settings[name].value} onChange=${(/** @type {any} */ event) => (settings[name].value = event.target.value)}>
        ${values.map((value) => html`<option value=${value}>${t(`settings.${name}.${value}`)}</option>`)}</select></label>`)}
    <label>${t("settings.scale")} <span class="dim">${Math.round(app.settings.scale.value * 100)} %</span>
      <input type="range" min="0.7" max="2" step="0.1" value=${app.settings.scale.value} onInput=${(/** @type {any} */ event) => (app.settings.scale.value = event.target.valueAsNumber)} /></label>
    ${SWITCHES.map((name) => html`<label key=${name}>${t(`settings.${name}`)}
      <input type="checkbox" role="switch" checked=${app.settings[name].value} onChange=${(/** @type {any} */ event) => (app.settings[name].value = event.target.checked)} /></label>`)}
    <p class="dim">${t("settings.kept")}</p>
  </div>`;
}

/** @param {App} app @param {string} tag */
async function change(app, tag) {
  app.settings.language.value = tag;
  await choose(tag);
}
