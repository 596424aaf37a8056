// The canvas: moving about, selecting, arranging.
export default {
  "canvas.label": "Graph of {title}: {count} nodes. Arrow keys travel, Enter opens a node's fields, / adds a node.",
  "canvas.label.one": "Graph of {title}: one node. Arrow keys travel, Enter opens the node's fields, / adds a node.",
  "canvas.empty": "Nothing here yet. Double-click, or press /, to add a node.",
  "canvas.zoom_in": "Zoom in",
  "canvas.zoom_out": "Zoom out",
  "canvas.fit": "Show everything",
  "canvas.actual": "Actual size",
  "canvas.select_all": "Select all",
  "canvas.select_none": "Select nothing",
  "canvas.delete": "Delete the selection",
  "canvas.move": "Move",
  "canvas.selected": "{count} selected",
  "canvas.selected.one": "{title} selected",
  "canvas.deleted": "{count} deleted",
  "canvas.deleted.one": "One deleted",
};
