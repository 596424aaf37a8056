// The layers of a painting, the upper ones first.
import { html } from "../html.js";
import { Icon } from "../icons.js";
import { t } from "../text/index.js";

/** @import { App } from "../types.d.ts" */
/** @import { Painter } from "./painter.js" */

/** @param {{app: App, painter: Painter, version: number}} props `version`: read them again. */
export function Layers({ app, painter }) {
  const { surface } = painter;
  const name = (/** @type {number} */ place) => t("paint.layer", { name: surface.layers[place].name });
  const rename = async () => {
    const place = surface.active;
    const text = await app.dialogs.ask(t("rename"), surface.layers[place].name);
    if (text) painter.layers((all) => all.setLayer(place, { name: text }));
  };
  /** @type {[string, string, () => unknown][]} */
  const acts = [
    ["add", t("paint.add_layer"), () => painter.layers((all) => all.addLayer())], ["up", t("paint.layer_up"), () => painter.layers((all) => all.moveLayer(1))],
    ["down", t("paint.layer_down"), () => painter.layers((all) => all.moveLayer(-1))], ["pencil", t("rename"), rename],
    ["trash", t("paint.remove_layer"), () => painter.layers((all) => all.removeLayer())],
  ];
  return html`<section><h3>${t("paint.layers")}</h3>
    <ul>${surface.layers.map((layer, place) => html`<li key=${place} class="row"><input type="checkbox" checked=${layer.visible} aria-label=${t("paint.shown", { name: name(place) })}
        onChange=${(/** @type {any} */ event) => painter.layers((all) => all.setLayer(place, { visible: event.target.checked }))} />
      <button type="button" class="name" aria-pressed=${place === surface.active} onClick=${() => painter.layers((all) => void (all.active = place))}>${name(place)}</button></li>`).reverse()}</ul>
    <label class="slider"><span>${t("paint.opacity")}</span><input type="range" min="0" max="100" value=${surface.layers[surface.active].opacity * 100}
      onInput=${(/** @type {any} */ event) => painter.layers((all) => all.setLayer(all.active, { opacity: event.target.valueAsNumber / 100 }))} />
      <output>${Math.round(surface.layers[surface.active].opacity * 100)}</output></label>
    <div class="row">${acts.map(([icon, title, work]) => html`<button type="button" key=${icon} class="plain" aria-label=${title} title=${title} onClick=${work}><${Icon} name=${icon} /></button>`)}</div>
  </section>`;
}
