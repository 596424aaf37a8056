"""`python -m nodegraph.cli`: the same as the `nodegraph` command."""

from nodegraph.cli import main

main()
