"""Jobs that outlive the server: the queue, what became of each job, and the log of events, in one SQLite file.

Every change of a job and the events that tell of it are one transaction, so each is told exactly once.
"""

from nodegraph.jobs.commits import Commits, StoreFailed, Transaction
from nodegraph.jobs.events import LoggedEvent
from nodegraph.jobs.records import Ended, Filter, JobRecord, NewJob
from nodegraph.jobs.store import JobStore

__all__ = ["Commits", "Ended", "Filter", "JobRecord", "JobStore", "LoggedEvent", "NewJob", "StoreFailed", "Transaction"]
