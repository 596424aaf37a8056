// Die Gliederung: der Graph als Baum.
export default {
  "outline.title": "Gliederung",
  "outline.filter": "Knoten filtern",
  "outline.label": "Gliederung von {title}. Rechts öffnet einen Knoten, Eingabe führt hin oder ins Feld, C verbindet einen Anschluss.",
  "outline.menu": "Menü von {title}",
  "outline.connect": "{title} verbinden",
  "outline.from": "von {source}",
  "outline.to": "an {targets}",
  "outline.missing": "nötig, nicht verbunden",
  "outline.empty": "nicht verbunden",
  "outline.unread": "nicht verwendet",
};
