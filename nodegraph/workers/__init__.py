"""Worker processes: each hosts an engine, runs several jobs at once, and may die at any time without anything being lost.

`host` runs jobs and tells of them, whatever carries its messages; `process` is one child of the server, `pool` all of them.
"""

from nodegraph.workers.messages import Attempt, BadFrame, Message
from nodegraph.workers.pool import Listener, Pool, Room, WorkerLost, WorkerSetup
from nodegraph.workers.process import WorkerStatus

__all__ = ["Attempt", "BadFrame", "Listener", "Message", "Pool", "Room", "WorkerLost", "WorkerSetup", "WorkerStatus"]
