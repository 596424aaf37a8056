// What nodes give: pictures, texts, tables, plots.
export default {
  "views.more": "and {count} more",
  "views.open": "Open {name}",
  "views.file": "File",
  "views.value": "Value",
  "views.no_value": "{type}: it has no form that can be shown.",
  "views.table": "Table",
  "views.plot": "Plot",
  "views.no_points": "There are no points to draw.",
  "views.series": "{name}: {count} points from {least} to {most}",
  "views.compare": "How much of each picture is seen",
  "views.before": "Before",
  "views.after": "After",
};
