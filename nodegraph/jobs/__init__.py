"""Jobs that outlive the server: the queue, what became of each job, and the log of events, in one SQLite file.

Every change of a job and the events that tell of it are one transaction, so each is told exactly once.
"""

from nodegraph.jobs.commits import Commits, Transaction
from nodegraph.jobs.events import LoggedEvent
from nodegraph.jobs.holding import FolderInUse, Holding
from nodegraph.jobs.listing import Place, Waiting
from nodegraph.jobs.opening import Damaged, StoreFailed
from nodegraph.jobs.records import Ended, Filter, JobRecord, NewJob
from nodegraph.jobs.store import JobStore, Key, KeyReused, Known
from nodegraph.jobs.transitions import NotNow, QueueFull

__all__ = [
    "Commits",
    "Damaged",
    "Ended",
    "Filter",
    "FolderInUse",
    "Holding",
    "JobRecord",
    "JobStore",
    "Key",
    "KeyReused",
    "Known",
    "LoggedEvent",
    "NewJob",
    "NotNow",
    "Place",
    "QueueFull",
    "StoreFailed",
    "Transaction",
    "Waiting",
]
