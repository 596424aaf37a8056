// Finding, adding and changing nodes: the palette, the panel of nodes, the menu at the pointer, the lists to connect by.
import { currentNode, focusCommands } from "../canvas/focus.js";
import { nodesOf } from "../model/graph.js";
import { later } from "../panels/later.js";
import { t } from "../text/index.js";
import { changingCommands } from "./changing.js";
import { connectSocket } from "./connecting.js";
import { openPalette } from "./insert.js";
import { openMenu } from "./menu.js";

/** @import { App, End } from "../types.d.ts" */

/** @param {App} app */
export function install(app) {
  const when = () => app.tabs.current.value !== null;
  app.panels.add({ id: "nodes", title: "panel.nodes", side: "left", icon: "nodes", order: 0, component: later(() => import("./nodes-panel.js"), "NodesPanel") });
  app.commands.add(
    { id: "palette.open", title: "palette.title", keys: ["/", "Tab"], context: "canvas", group: "insert", when, run: (given) => openPalette(app, { at: given?.at, end: given?.end }) },
    { id: "menu.context", title: "menu.context", keys: ["Shift+F10", "ContextMenu"], context: "canvas", group: "node", hidden: true, when, run: (given) => openMenu(app, given?.event ?? null) },
    { id: "connect.list", title: "menu.link", group: "node", hidden: true, when, run: (/** @type {End} */ end) => connectSocket(app, end) },
    { id: "node.help", title: "node.help", keys: ["F1"], context: "canvas", group: "node", when: () => currentNode(app) !== "", run: () => void help(app) },
    ...changingCommands(app), ...focusCommands(app),
  );
}

/** @param {App} app */
async function help(app) {
  const tab = app.tabs.current.peek();
  const entry = tab && nodesOf(tab.graph.peek())[currentNode(app)];
  if (!tab || !entry) return;
  const spec = app.catalog.peek().specOf(tab.store.json.peek(), entry);
  const { NodeHelp } = await import("./help.js");
  void app.dialogs.open(t("help.of", { title: spec.title }), NodeHelp, { spec }, { wide: true });
}
