// A small Markdown: headings, paragraphs, lists, code, emphasis, links to the web, and pictures of the pack. It makes elements, never HTML, so
// nothing that a pack writes can run.
import { html } from "../html.js";

const INLINE = /`([^`]+)`|!\[([^\]]*)\]\(([^)\s]+)\)|\[([^\]]+)\]\(([^)\s]+)\)|\*\*([^*]+)\*\*|[*_]([^*_]+)[*_]/g;

/** @param {string} text @param {Record<string, string>} pictures @returns {any[]} */
function inline(text, pictures) {
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, alt, picture, words, address, strong, weak] = found;
    parts.push(text.slice(last, found.index));
    last = found.index + whole.length;
    if (code) parts.push(html`<code>${code}</code>`);
    else if (picture) parts.push(Object.hasOwn(pictures, picture) ? html`<img src=${pictures[picture]} alt=${alt} />` : alt);
    else if (address) parts.push(/^https?:\/\//.test(address) ? html`<a href=${address} target="_blank" rel="noopener noreferrer nofollow">${words}</a>` : words);
    else if (strong) parts.push(html`<strong>${inline(strong, pictures)}</strong>`);
    else parts.push(html`<em>${weak}</em>`);
  }
  return [...parts, text.slice(last)];
}

/** @param {{markdown: string, pictures?: Record<string, string>}} props */
export function Markdown({ markdown, pictures = {} }) {
  const blocks = markdown.replace(/\r/g, "").split(/(^```[^\n]*\n[\s\S]*?^```[ \t]*$)/m).flatMap((part) => (part.startsWith("```") ? [part]
    : part.replace(/^(#{1,6} .*)$/gm, "\n$1\n").split(/\n\s*\n/))).map((block) => block.trim()).filter(Boolean);
  return html`<div class="markdown">${blocks.map((block) => {
    if (block.startsWith("```")) return html`<pre><code>${block.replace(/^```.*\n?/, "").replace(/\n?```$/, "")}</code></pre>`;
    const heading = /^(#{1,6}) (.*)$/.exec(block);
    if (heading) return html`<${heading[1].length < 3 ? "h3" : "h4"}>${inline(heading[2], pictures)}<//>`;
    if (!/^([-*+]|\d+[.)]) /.test(block)) return html`<p>${inline(block, pictures)}</p>`;
    const items = block.split(/\n(?=(?:[-*+]|\d+[.)]) )/).map((item) => html`<li>${inline(item.replace(/^([-*+]|\d+[.)]) /, ""), pictures)}</li>`);
    return html`<${/^\d/.test(block) ? "ol" : "ul"}>${items}<//>`;
  })}</div>`;
}
