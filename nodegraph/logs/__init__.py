"""Structured logs: one line per event, for people as `key=value`, for programs as JSON.

What people wrote (prompts, values) and what guards things (tokens, cookies) has no place in a log: the content of fields of
such names is dropped.
"""

from nodegraph.logs.fields import NEVER_LOGGED, NOT_LOGGED
from nodegraph.logs.lines import Line
from nodegraph.logs.logger import Logger, logger, start_logging

__all__ = ["NEVER_LOGGED", "NOT_LOGGED", "Line", "Logger", "logger", "start_logging"]
