// A sweep: several pictures, and the settings in which their runs differ. Two of these are the axes of a grid.

/** @import { Item } from "./found.js" */
/** `values` in the order in which the grid has them; `of` gives an item's. @typedef {{name: string, values: string[], of(item: Item): string}} Axis */

/** The axis of a grid that has only one row or column. @type {Axis} */
export const NONE = { name: "", values: [""], of: () => "" };

/** @param {any} value */
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** What the items differ in: settings by name, and the number of a picture within its run. @param {Item[]} items
 * @param {Map<string, Record<string, any>>} settings Of each job. @returns {Axis[]} */
export function axesOf(items, settings) {
  const names = [...new Set([...settings.values()].flatMap((one) => Object.keys(one)))];
  const axes = names.map((name) => axis(items, name, (item) => text(settings.get(item.job.id)?.[name]) ?? ""));
  axes.push(axis(items, "#", (item) => String(item.number)));
  return axes.filter((one) => one.values.length > 1);
}

/** @param {Item[]} items @param {string} name @param {Axis["of"]} of @returns {Axis} */
function axis(items, name, of) {
  const values = [...new Set(items.map(of))];
  const numbers = values.every((value) => value !== "" && !Number.isNaN(Number(value)));
  return { name, of, values: values.sort((a, b) => (numbers ? Number(a) - Number(b) : a.localeCompare(b))) };
}

/** Rows of cells, each with the items that lie there. @param {Item[]} items @param {Axis} across @param {Axis} down */
export const gridOf = (items, across, down) =>
  down.values.map((y) => across.values.map((x) => items.filter((item) => across.of(item) === x && down.of(item) === y)));

/** The typed values of all nodes by `node.input`, for runs whose documents have no interface that tells them apart. @param {any} json */
export const valuesOf = (json) => Object.fromEntries(Object.entries(json.nodes ?? {}).flatMap(([id, entry]) =>
  Object.entries(/** @type {any} */ (entry).inputs ?? {}).map(([name, value]) => [`${id}.${name}`, value])));
