// What can be opened: parts of the editor add their panels and views here, in any order.
import { signal } from "@preact/signals";

/** @template {{id: string, order: number}} T @typedef {ReturnType<typeof createRegistry<T>>} Registry */

/** @template {{id: string, order: number}} T */
export function createRegistry() {
  const all = signal(/** @type {T[]} */ ([]));
  return {
    all,
    /** @param {...T} items */
    add(...items) {
      all.value = [...all.peek(), ...items].sort((a, b) => a.order - b.order);
    },
    /** @param {string} id */
    find: (id) => all.value.find((item) => item.id === id),
  };
}
