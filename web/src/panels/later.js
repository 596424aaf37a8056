// A component that is fetched when it is shown first.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";

/** A component that stands in for another one; `load()` is over when that is there.
 * @param {() => Promise<any>} fetch Gives the module. @param {string} name What the module calls it. */
export function later(fetch, name) {
  /** @type {((props: any) => any) | null} */
  let component = null;
  const load = async () => void (component ??= (await fetch())[name]);
  /** @param {any} props */
  function Later(props) {
    const [, draw] = useState(0);
    useEffect(() => {
      if (!component) void load().then(() => draw(1));
    }, []);
    return component ? html`<${component} ...${props} />` : null;
  }
  return Object.assign(Later, { load });
}
