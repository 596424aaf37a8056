// Fields of nodes and forms.
export default {
  "field.set": "Set {input}",
  "field.linked": "from {source}",
  "field.unset": "not set",
};
