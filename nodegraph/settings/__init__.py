"""The settings of a process: one frozen model, filled from flags, environment, file and defaults, in this order.

They are read once, at the start. Nothing writes them over HTTP, nothing in them is interpolated, nothing in them is code.
"""

from nodegraph.settings.loading import BadSettings, Loaded, Source, load_settings, read_settings
from nodegraph.settings.model import Jobs, Log, Server, Settings, Webhooks, Workers, is_loopback

__all__ = [
    "BadSettings",
    "Jobs",
    "Loaded",
    "Log",
    "Server",
    "Settings",
    "Source",
    "Webhooks",
    "Workers",
    "is_loopback",
    "load_settings",
    "read_settings",
]
