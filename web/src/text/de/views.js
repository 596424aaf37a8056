// Was Knoten liefern: Bilder, Texte, Tabellen, Diagramme.
export default {
  "views.more": "und {count} weitere",
  "views.open": "{name} öffnen",
  "views.file": "Datei",
  "views.value": "Wert",
  "views.no_value": "{type}: lässt sich nicht darstellen.",
  "views.table": "Tabelle",
  "views.plot": "Diagramm",
  "views.no_points": "Es gibt keine Punkte zu zeichnen.",
  "views.series": "{name}: {count} Punkte von {least} bis {most}",
  "views.compare": "Wie viel von jedem Bild zu sehen ist",
  "views.before": "Vorher",
  "views.after": "Nachher",
};
