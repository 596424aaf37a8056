// Felder von Knoten und Formularen.
export default {
  "field.set": "{input} setzen",
  "field.linked": "von {source}",
  "field.unset": "nicht gesetzt",
};
