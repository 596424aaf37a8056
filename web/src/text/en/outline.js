// The outline: the graph as a tree.
export default {
  "outline.title": "Outline",
  "outline.filter": "Filter nodes",
  "outline.label": "Outline of {title}. Right opens a node, Enter goes to it or into a field, C connects a socket.",
  "outline.menu": "Menu of {title}",
  "outline.connect": "Connect {title}",
  "outline.from": "from {source}",
  "outline.to": "to {targets}",
  "outline.missing": "required, not linked",
  "outline.empty": "not linked",
  "outline.unread": "not used",
};
