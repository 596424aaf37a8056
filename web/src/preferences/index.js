// Settings, the command palette and the help of keys. What they list, they read from the registry and from the settings.
import { t } from "../text/index.js";

/** @import { App } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  const themes = ["system", "light", "dark"];
  const next = () => themes[(themes.indexOf(app.settings.theme.peek()) + 1) % themes.length];
  app.commands.add(
    { id: "help.commands", title: "command.palette", keys: ["Ctrl+K", "Shift+Ctrl+P"], group: "help", run: () => void palette(app) },
    { id: "help.keys", title: "command.keys", keys: ["?"], group: "help", run: async () => void app.dialogs.open(t("command.keys"), (await import("./key-help.js")).KeyHelp, {}, { wide: true }) },
    { id: "settings.open", title: "command.settings", keys: ["Ctrl+,"], group: "help", run: async () => void app.dialogs.open(t("command.settings"), (await import("./settings-body.js")).SettingsBody) },
    { id: "settings.theme", title: "command.theme", group: "view", run: () => say(app, app.settings.theme.value = next()) },
    { id: "settings.larger", title: "command.larger", keys: ["Ctrl+Alt++", "Ctrl+Alt+="], group: "view", run: () => scale(app, 0.1) },
    { id: "settings.smaller", title: "command.smaller", keys: ["Ctrl+Alt+-"], group: "view", run: () => scale(app, -0.1) },
  );
}

/** @param {App} app @param {string} theme */
const say = (app, theme) => app.announce(t(`settings.theme.${theme}`));

/** @param {App} app @param {number} by */
const scale = (app, by) => void (app.settings.scale.value = Math.round(Math.min(2, Math.max(0.7, app.settings.scale.peek() + by)) * 10) / 10);

/** @param {App} app */
async function palette(app) {
  const { CommandPalette } = await import("./command-palette.js");
  const id = await app.dialogs.open(t("command.palette"), CommandPalette);
  if (id) requestAnimationFrame(() => app.commands.run(id)); // when the dialog has given back the focus
}
