// A component that is fetched when it is shown first.
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";

/** @param {() => Promise<any>} fetch Gives the module. @param {string} name What the module calls it. @returns {(props: any) => any} */
export function later(fetch, name) {
  /** @type {((props: any) => any) | null} */
  let component = null;
  return function Later(props) {
    const [, draw] = useState(0);
    useEffect(() => {
      if (!component) void fetch().then((module) => ((component = module[name]), draw(1)));
    }, []);
    return component ? html`<${component} ...${props} />` : null;
  };
}
