-- The tables of every format so far: see `database.rs`. What is stored in one is read by every later version; a change to it
-- is a new number and a way from the old one.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- The chain: every batch, and every change to what is kept. `said` is JSON; NULL for batches, of which `batches` says all.
CREATE TABLE entries (
    entry INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    recorded INTEGER NOT NULL,
    author TEXT NOT NULL,
    said TEXT,
    digest BLOB NOT NULL,
    chain BLOB NOT NULL
) STRICT;
CREATE INDEX entries_of_kind ON entries (kind, entry) WHERE kind <> 'batch';

CREATE TABLE topics (
    topic INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    events INTEGER NOT NULL,
    kept_from INTEGER NOT NULL,
    age_max INTEGER,
    bytes_max INTEGER,
    subject TEXT,
    protected TEXT
) STRICT;

-- Columns that batches of a topic have: as rows are given, and the names of those that are kept secret.
CREATE TABLE schemas (
    schema INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    columns BLOB NOT NULL,
    protected TEXT NOT NULL,
    UNIQUE (topic, columns, protected)
) STRICT;

CREATE TABLE batches (
    batch INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    events INTEGER NOT NULL,
    stream TEXT,
    first_version INTEGER,
    time_min INTEGER,
    time_max INTEGER,
    bytes INTEGER NOT NULL,
    body_hash BLOB NOT NULL,
    summary_hash BLOB NOT NULL,
    -- Of the first batch of an append: its key, and how many events came with it in all. In format 2 a key that is kept no
    -- longer is NULL, and the number is not: see `keys.rs`.
    idempotency TEXT,
    idempotency_events INTEGER,
    -- Where its rows are: NULL: in `bodies`; 0: nowhere any more.
    segment INTEGER,
    segment_row INTEGER
) STRICT;
CREATE INDEX batches_of_topic ON batches (topic, batch);
CREATE INDEX batches_in_journal ON batches (topic, batch) WHERE segment IS NULL;
CREATE INDEX batches_by_position ON batches (first_position);
CREATE INDEX batches_of_stream ON batches (stream, batch) WHERE stream IS NOT NULL;
CREATE INDEX batches_of_segment ON batches (segment, batch) WHERE segment IS NOT NULL;
CREATE UNIQUE INDEX batches_by_key ON batches (topic, idempotency) WHERE idempotency IS NOT NULL;

CREATE TABLE bodies (batch INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE summaries (batch INTEGER PRIMARY KEY, summary BLOB NOT NULL) STRICT;

-- Filters of columns that are too long to stand in a summary, which has their hashes: of a batch, or of a page of a segment.
CREATE TABLE filters (
    owner INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    place INTEGER NOT NULL,
    filter BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX filters_of ON filters (owner, first_row, place);

CREATE TABLE streams (stream TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE segments (
    segment INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    events INTEGER NOT NULL,
    time_min INTEGER,
    time_max INTEGER,
    bytes INTEGER NOT NULL,
    file TEXT NOT NULL UNIQUE,
    file_hash BLOB NOT NULL
) STRICT;
CREATE INDEX segments_of_topic ON segments (topic, first_position);

-- What is known of pages of a segment, a range of its rows each.
CREATE TABLE pages (
    segment INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    events INTEGER NOT NULL,
    time_min INTEGER,
    time_max INTEGER,
    summary_hash BLOB NOT NULL,
    summary BLOB NOT NULL,
    PRIMARY KEY (segment, first_row)
) STRICT, WITHOUT ROWID;

-- Keys of subjects; NULL once they are erased.
CREATE TABLE subjects (key INTEGER PRIMARY KEY, subject TEXT NOT NULL, secret BLOB) STRICT;
CREATE INDEX keys_of_subject ON subjects (subject);

-- What programs save with their appends: states of engines, offsets of sources, cursors of readers.
CREATE TABLE saved (kind TEXT, name TEXT, value BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;

-- What is to be done, until it is done.
CREATE TABLE outbox (
    item INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (queue, key)
) STRICT;
