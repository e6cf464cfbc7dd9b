"""The tables. Times are `Moment`s, ids are UUIDs as text; `""` and the year 1970 are "none" where rows are sorted.

    documents    a pipeline's document, by its hash: frozen in the runs that use it
    experiments  what runs are grouped by
    runs         a run as it was asked for, and where it is now
    events       all that happened to a run, in order: its state is made of them alone
    tasks        the tasks of runs as they are now, for who asks
    wishes       what users want of runs, until it is taken
    recurring    what starts runs by itself, and how far it has come
    backfills    ranges of time for which recurring runs shall still be run
    artifacts    what tasks made or imported, and each scalar of their metrics
    links        which task has which artifact as an input or output
    cache        tasks whose outputs others may take
    ends         runs that ended, until all that follows is done
    leftovers    folders of removed runs, until they are emptied
    sweeps       how far what goes by age has come

`migrations/versions` makes them; a test compares the two.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from flowdeck.sql.types import Json, Moment, Serial, new_metadata

METADATA = new_metadata()

DOCUMENTS = Table(
    "pipeline_documents",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("wire", Json, nullable=False),
)

EXPERIMENTS = Table(
    "pipeline_experiments",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_run_created_at", Moment, nullable=False),
    Column("storage_state", Text, nullable=False),
    UniqueConstraint("namespace", "name"),
    Index(None, "namespace", "created_at", "id"),
    Index(None, "namespace", "last_run_created_at", "id"),
)

RUNS = Table(
    "pipeline_runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("experiment_id", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("storage_state", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("history", Json, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("scheduled_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("service_account", Text, nullable=False),
    Column("pipeline_id", Text, nullable=False),
    Column("pipeline_version_id", Text, nullable=False),
    Column("pipeline_name", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("pipeline_root", Text, nullable=False),
    Column("recurring_run_id", Text, nullable=False),
    Column("plugins_input", Json, nullable=False),
    Column("engine", Json, nullable=False),
    Index(None, "namespace", "created_at", "id"),
    Index(None, "namespace", "finished_at", "id"),
    Index(None, "namespace", "name", "id"),
    Index(None, "experiment_id", "created_at", "id"),
    Index(None, "recurring_run_id", "created_at", "id"),
    Index(None, "recurring_run_id", "is_active"),
    Index(None, "document"),
    Index(None, "is_active", "created_at"),
    Index(None, "finished_at", "id"),
)
"""`document` is the hash of the one that it runs; `engine` the `engine.run.Run`."""

EVENTS = Table(
    "pipeline_events",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("event", LargeBinary, nullable=False),
)
"""`event` as `engine.events.encode` writes it."""

TASKS = Table(
    "pipeline_tasks",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("parent_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("record", Json, nullable=False),
    Index(None, "run_id", "began_at", "id"),
    Index(None, "fingerprint", "ended_at"),
)
"""`record` is the `engine.records.TaskRecord`."""

WISHES = Table(
    "pipeline_wishes",
    METADATA,
    Column("number", Serial, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Index(None, "run_id", "number"),
)
"""Events that users made (terminate, retry), until whoever works on the run has taken them."""

RECURRING_RUNS = Table(
    "pipeline_recurring_runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("experiment_id", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("resource_name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("pipeline_id", Text, nullable=False),
    Column("pipeline_version_id", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("pipeline_root", Text, nullable=False),
    Column("service_account", Text, nullable=False),
    Column("plugins_input", Json, nullable=False),
    Column("trigger", Json, nullable=False),
    Column("max_concurrency", Integer, nullable=False),
    Column("no_catchup", Boolean, nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("error", Text, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("made", Integer, nullable=False),
    Index(None, "namespace", "created_at", "id"),
    Index(None, "namespace", "updated_at", "id"),
    Index(None, "namespace", "name", "id"),
    Index(None, "experiment_id", "created_at", "id"),
    Index(None, "document"),
)
"""`document` is the hash of the one that all its runs run; empty: the newest version of `pipeline_id` at that time."""

BACKFILLS = Table(
    "pipeline_backfills",
    METADATA,
    Column("number", Serial, primary_key=True),
    Column("recurring_run_id", Text, nullable=False),
    Column("begin", Moment, nullable=False),
    Column("end", Moment, nullable=False),
    Index(None, "recurring_run_id", "number"),
)
"""What is left of each, its ends included."""

ARTIFACTS = Table(
    "pipeline_artifacts",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("uri", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("number_value", Float(53)),
    Column("is_ours", Boolean, nullable=False),
    Column("size_bytes", BigInteger),
    Column("created_at", Moment, nullable=False),
    Column("last_update", Moment, nullable=False),
    Index(None, "namespace", "created_at", "id"),
    Index(None, "namespace", "last_update", "id"),
    Index(None, "namespace", "name", "id"),
    Index(None, "namespace", "type", "id"),
    Index(None, "namespace", "uri", "id"),
    Index(None, "run_id", "name"),
    Index(None, "created_at"),
)
"""`metadata` is JSON, as text that can be searched. `size_bytes`: NULL when nobody has looked."""

LINKS = Table(
    "pipeline_artifact_tasks",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("artifact_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("producer", Text, nullable=False),
    Column("iteration", Integer),
    Index(None, "run_id", "task_id"),
    Index(None, "artifact_id"),
    Index(None, "namespace", "id"),
)
"""`type` is an `engine.records.IoType`; `producer` the task that it comes from, in the same dag."""

CACHE = Table(
    "pipeline_cache",
    METADATA,
    Column("task_id", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("scope_path", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("parts", Json, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Index(None, "namespace", "fingerprint", "ended_at"),
    Index(None, "namespace", "pipeline", "scope_path", "ended_at"),
    Index(None, "namespace", "ended_at", "task_id"),
    Index(None, "run_id"),
)
"""`pipeline` is its document's name, `parts` what the fingerprint is made of."""

ENDS = Table(
    "pipeline_ends",
    METADATA,
    Column("number", Serial, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("told", Json, nullable=False),
    Index(None, "run_id", "number"),
)
"""`told`: the web hooks that know."""

LEFTOVERS = Table(
    "pipeline_leftovers",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("removed_at", Moment, nullable=False),
    Column("namespace", Text, nullable=False),
)
"""`prefix`: below which URI the run's tasks put what they made, and their logs are."""

SWEEPS = Table(
    "pipeline_sweeps",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("finished_at", Moment, nullable=False),
    Column("run_id", Text, nullable=False),
)
"""The last run that each was done for, in the order in which runs finished."""
