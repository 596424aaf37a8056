"""Prompts as people write them: weights, switches, AND, learned words. `parse` reads, `stretches` lays out over a run.

Nothing here knows a node; `brackets`, `tree`, `timing` and `chunks` know no torch either.
"""

from .brackets import Syntax, escaped, parse
from .timing import Span, Spans, Stretch, is_weighted, stretches, text_of
from .tree import Alternate, Branch, Break, Network, Prompt, PromptError, Switch, Text, Weighted

__all__ = [
    "Alternate",
    "Branch",
    "Break",
    "Network",
    "Prompt",
    "PromptError",
    "Span",
    "Spans",
    "Stretch",
    "Switch",
    "Syntax",
    "Text",
    "Weighted",
    "escaped",
    "is_weighted",
    "parse",
    "stretches",
    "text_of",
]
