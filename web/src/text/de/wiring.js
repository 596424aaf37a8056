// Verbindungen und die Auswahl der Knoten.
export default {
  "connect.two_outputs": "Beides sind Ausgänge: Eine Verbindung führt von einem Ausgang zu einem Eingang.",
  "connect.two_inputs": "Beides sind Eingänge: Eine Verbindung führt von einem Ausgang zu einem Eingang.",
  "connect.gone": "Ein Ende dieser Verbindung gibt es nicht mehr.",
  "connect.itself": "Ein Knoten kann nicht mit sich selbst verbunden werden.",
  "connect.types": "{from} passt nicht in {input}; dort passt {to}.",
  "connect.circle": "Das schlösse einen Kreis: {from} hängt schon von {to} ab.",
  "connect.link": "{from} mit {to} verbinden",
  "connect.unlink": "{input} trennen",
  "connect.done": "{from} mit {to} verbunden",
  "palette.title": "Knoten hinzufügen",
  "palette.search": "Knoten suchen",
  "palette.add": "{title} hinzufügen",
  "palette.nothing": "Nichts gefunden.",
};
