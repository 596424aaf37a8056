// The keys of a tree: up and down travel, right and left open, go in and out. One item at a time is a stop of the Tab key.

/** To be the `onKeyDown` of a `role=tree`. Items open and shut by a click on them. @param {KeyboardEvent & {currentTarget: any}} event */
export function treeKeys(event) {
  const item = /** @type {HTMLElement} */ (event.target);
  if (item.role !== "treeitem") return;
  const items = /** @type {HTMLElement[]} */ ([...event.currentTarget.querySelectorAll("[role=treeitem]")]);
  const place = items.indexOf(item);
  const level = Number(item.ariaLevel);
  const open = item.ariaExpanded;
  /** @type {HTMLElement | undefined} */
  let next;
  switch (event.key) {
    case "ArrowDown": next = items[place + 1] ?? item; break;
    case "ArrowUp": next = items[place - 1] ?? item; break;
    case "Home": next = items[0]; break;
    case "End": next = items.at(-1); break;
    case "ArrowRight":
      if (open === "false") item.click();
      next = open === "true" ? items[place + 1] : item;
      break;
    case "ArrowLeft":
      if (open === "true") item.click();
      next = open === "true" ? item : items.slice(0, place).findLast((one) => Number(one.ariaLevel) < level) ?? item;
  }
  if (!next) return;
  for (const one of items) one.tabIndex = one === next ? 0 : -1;
  next.focus();
  event.preventDefault();
}
