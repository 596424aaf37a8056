// Die Formularansicht.
export default {
  "view.form": "Formular",
  "form.none": "Im Formular ist noch nichts. „Im Formular zeigen“ steht im Menü jedes Feldes.",
  "form.no_document": "Kein Workflow ist offen.",
  "form.no_results": "Ergebnisse erscheinen hier.",
  "form.results": "Ergebnisse",
  "form.preview": "Das Bild bis hierhin",
  "form.copy_link": "Link kopieren",
  "form.copied": "Kopiert: Der Link öffnet dieses Formular mit seinen Werten.",
  "form.from_link": "Werte aus dem Link",
  "form.bad_value": "{name} aus dem Link wurde weggelassen: {reason}",
  "form.no_choice": "erlaubt: {choices}",
};
