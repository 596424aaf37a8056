// The one registry of commands. Menus, palette, help and keys all read it.
import { signal } from "@preact/signals";

/** @import { Command } from "./types.d.ts" */
/** @typedef {ReturnType<typeof createCommands>} Commands */

export function createCommands() {
  const all = signal(/** @type {Command[]} */ ([]));
  return {
    all,
    /** @param {...Command} commands */
    add(...commands) {
      all.value = [...all.peek(), ...commands];
    },
    /** @param {string} id */
    find: (id) => all.peek().find((command) => command.id === id),
    /** Run a command if it may run now. @param {string} id @param {any} [given] @returns {unknown} */
    run(id, given) {
      const command = all.peek().find((one) => one.id === id);
      return command && (command.when?.(given) ?? true) ? command.run(given) : undefined;
    },
  };
}
