"""The tables of the job store."""

VERSION = 1

SCHEMA = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    rank REAL NOT NULL,              -- among equal priorities the smaller goes first
    title TEXT NOT NULL,
    workflow_id TEXT,
    exact INTEGER NOT NULL,
    wanted TEXT,                     -- JSON: a list of names, or null for all outputs
    inputs TEXT NOT NULL,            -- JSON: interface inputs as used
    webhook TEXT,
    retry_of TEXT,
    created REAL NOT NULL,           -- seconds since 1970
    started REAL,
    finished REAL,
    seconds REAL,
    worker TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,   -- workers that died while they ran this job alone
    alone INTEGER NOT NULL DEFAULT 0,     -- a worker died while it ran this job among others
    stopping TEXT,                   -- 'cancelled' or 'paused': what a running job is about to become
    reason TEXT NOT NULL DEFAULT '',
    error TEXT,                      -- JSON: problem details
    outputs TEXT                     -- JSON: rows by name
) WITHOUT ROWID;
CREATE INDEX jobs_queue ON jobs (state, priority DESC, rank);
CREATE INDEX jobs_ended ON jobs (state, finished);
CREATE TABLE documents (job TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE node_rows (job TEXT PRIMARY KEY, nodes BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (key TEXT PRIMARY KEY, digest TEXT NOT NULL, job TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT, text TEXT NOT NULL);
CREATE TABLE artifacts (digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, bytes INTEGER NOT NULL, created REAL NOT NULL)
    WITHOUT ROWID;
CREATE TABLE job_artifacts (job TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (job, digest)) WITHOUT ROWID;
CREATE INDEX artifacts_of ON job_artifacts (digest);
CREATE TABLE marks (kind TEXT NOT NULL, value TEXT NOT NULL, job TEXT NOT NULL, PRIMARY KEY (kind, value, job)) WITHOUT ROWID;
CREATE INDEX marks_of ON marks (job);
CREATE VIRTUAL TABLE texts USING fts5 (job UNINDEXED, text, tokenize = 'unicode61 remove_diacritics 2');
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
