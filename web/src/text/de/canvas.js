// Die Zeichenfläche: bewegen, auswählen, anordnen.
export default {
  "canvas.label": "Graph von {title}: {count} Knoten. Pfeiltasten wandern, Eingabe öffnet die Felder eines Knotens, / fügt einen Knoten hinzu.",
  "canvas.label.one": "Graph von {title}: ein Knoten. Pfeiltasten wandern, Eingabe öffnet die Felder des Knotens, / fügt einen Knoten hinzu.",
  "canvas.empty": "Noch nichts hier. Doppelklick oder / fügt einen Knoten hinzu.",
  "canvas.zoom_in": "Vergrößern",
  "canvas.zoom_out": "Verkleinern",
  "canvas.fit": "Alles zeigen",
  "canvas.actual": "Tatsächliche Größe",
  "canvas.select_all": "Alles auswählen",
  "canvas.select_none": "Nichts auswählen",
  "canvas.delete": "Auswahl löschen",
  "canvas.move": "Verschieben",
  "canvas.selected": "{count} ausgewählt",
  "canvas.selected.one": "{title} ausgewählt",
  "canvas.deleted": "{count} gelöscht",
  "canvas.deleted.one": "Eines gelöscht",
};
