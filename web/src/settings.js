// What a person prefers, kept in this browser. A setting is a signal; writing it keeps it.
import { effect, signal } from "@preact/signals";

/** @import { Signal } from "@preact/signals" */
/** @typedef {ReturnType<typeof createSettings>} Settings */

const DEFAULTS = {
  theme: "system", // system, light, dark
  contrast: "system", // system, more
  motion: "system", // system, less
  scale: 1,
  language: "",
  snap: true,
  grid: true,
  minimap: true,
  previews: true,
  run_on_change: false,
  notify: false,
  /** Node types that were added last. */
  recent: /** @type {string[]} */ ([]),
};
const PLACE = "nodegraph.settings";

export function createSettings() {
  /** @type {Record<string, any>} */
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(PLACE) ?? "{}");
  } catch {
    kept = {}; // not ours, or damaged: begin anew
  }
  const made = Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, value]) => [name, signal(typeof kept[name] === typeof value ? kept[name] : value)]),
  );
  const settings = /** @type {{[Name in keyof typeof DEFAULTS]: Signal<(typeof DEFAULTS)[Name]>}} */ (/** @type {unknown} */ (made));
  effect(() => {
    const now = Object.fromEntries(Object.entries(made).map(([name, one]) => [name, one.value]));
    try {
      localStorage.setItem(PLACE, JSON.stringify(now));
    } catch {
      // a browser that keeps nothing: the settings last as long as the page
    }
  });
  const contrast = matchMedia("(prefers-contrast: more)");
  const wanted = signal(contrast.matches);
  contrast.addEventListener("change", () => (wanted.value = contrast.matches));
  effect(() => {
    const root = document.documentElement;
    root.dataset.theme = settings.theme.value;
    root.dataset.contrast = settings.contrast.value === "system" && wanted.value ? "more" : settings.contrast.value;
    root.dataset.motion = settings.motion.value;
    root.style.setProperty("--scale", String(settings.scale.value));
  });
  return settings;
}
