// Links and the palette of nodes.
export default {
  "connect.two_outputs": "Both are outputs: a link goes from an output to an input.",
  "connect.two_inputs": "Both are inputs: a link goes from an output to an input.",
  "connect.gone": "One end of this link is no longer there.",
  "connect.itself": "A node cannot be linked to itself.",
  "connect.types": "{from} does not fit into {input}, which takes {to}.",
  "connect.circle": "That would close a circle: {from} already depends on {to}.",
  "connect.link": "Connect {from} to {to}",
  "connect.unlink": "Disconnect {input}",
  "connect.done": "Connected {from} to {to}",
  "palette.title": "Add a node",
  "palette.search": "Search nodes",
  "palette.add": "Add {title}",
  "palette.nothing": "Nothing found.",
};
