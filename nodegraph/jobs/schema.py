"""The tables of the job store. What every request asks for is found by an index or a counter, however long the queue."""

VERSION = 2

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
    stopping TEXT,                   -- 'cancelled', 'paused' or 'queued': what a running job is about to become
    reason TEXT NOT NULL DEFAULT '',
    error TEXT,                      -- JSON: problem details
    outputs TEXT,                    -- JSON: rows by name
    document_id TEXT,                -- the id that the document has, which no job of before version 2 knows
    client TEXT                      -- what the client calls itself
) WITHOUT ROWID;
CREATE INDEX jobs_queue ON jobs (state, priority DESC, rank);
CREATE INDEX jobs_rank ON jobs (rank);
CREATE INDEX jobs_state ON jobs (state, id);
CREATE INDEX jobs_workflow ON jobs (workflow_id, id) WHERE workflow_id IS NOT NULL;
CREATE INDEX jobs_document ON jobs (document_id, id) WHERE document_id IS NOT NULL;
CREATE INDEX jobs_retry ON jobs (retry_of, id) WHERE retry_of IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished) WHERE finished IS NOT NULL;

CREATE TABLE counts (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
    INSERT INTO counts VALUES (NEW.state, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_changed AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE state = OLD.state;
    INSERT INTO counts VALUES (NEW.state, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
END;
CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
    UPDATE counts SET jobs = jobs - 1 WHERE state = OLD.state;
END;

CREATE TABLE documents (job TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE node_rows (job TEXT PRIMARY KEY, nodes BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE requests (key TEXT PRIMARY KEY, digest TEXT NOT NULL, job TEXT NOT NULL, created REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX requests_age ON requests (created);
CREATE INDEX requests_of ON requests (job);
CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT, text TEXT NOT NULL);
CREATE INDEX events_of ON events (job, seq) WHERE job IS NOT NULL;
CREATE TABLE artifacts (digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, bytes INTEGER NOT NULL, created REAL NOT NULL)
    WITHOUT ROWID;
CREATE TABLE job_artifacts (job TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (job, digest)) WITHOUT ROWID;
CREATE INDEX artifacts_of ON job_artifacts (digest);
CREATE TABLE marks (kind TEXT NOT NULL, value TEXT NOT NULL, job TEXT NOT NULL, PRIMARY KEY (kind, value, job)) WITHOUT ROWID;
CREATE INDEX marks_of ON marks (job);
CREATE TABLE words (number INTEGER PRIMARY KEY, job TEXT NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    url TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL                -- seconds since 1970
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (due);
CREATE TRIGGER jobs_told AFTER UPDATE OF finished ON jobs
    WHEN OLD.finished IS NULL AND NEW.finished IS NOT NULL AND NEW.webhook IS NOT NULL BEGIN
    INSERT INTO deliveries (id, job, url, due) VALUES (lower(hex(randomblob(16))), NEW.id, NEW.webhook, NEW.finished);
END;
CREATE TABLE sessions (digest TEXT PRIMARY KEY, created REAL NOT NULL, used REAL NOT NULL) WITHOUT ROWID;
"""

CHANGES = {
    2: """
    ALTER TABLE jobs ADD COLUMN document_id TEXT;
    ALTER TABLE jobs ADD COLUMN client TEXT;
    CREATE INDEX jobs_document ON jobs (document_id, id) WHERE document_id IS NOT NULL;
    """,
}
"""What makes a file of one version that of the next."""

INDEX = """
CREATE VIRTUAL TABLE texts USING fts5 (
    text, content = 'words', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2'
)
"""
"""The index of `words`, where this Python's SQLite has FTS5; see `nodegraph.jobs.words`."""
