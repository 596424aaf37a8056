"""nodegraph from Python: sessions, workflows, graphs.

The command line is built on this and on nothing below it that a script could not use too.
"""

from nodegraph.api.session import Session, default_session
from nodegraph.api.workflow import Graph, Result, RunFailed, Workflow, load

__all__ = ["Graph", "Result", "RunFailed", "Session", "Workflow", "default_session", "load"]
