#include "journal/sql.h"

#define EFFECT_COLUMNS                                                                             \
    "id, cluster, ref, verb, digest, leaves, previous, uid, resource_version, error, state"

const char *const sql_query[Q_COUNT] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    [Q_SALT] = "SELECT salt, made_ms FROM journal WHERE id = 1",
    [Q_SALT_SET] = "UPDATE journal SET salt = ?1 WHERE id = 1",
    [Q_COLUMNS] = "SELECT name FROM pragma_table_info(?1) ORDER BY cid",

    [Q_FACT_SET] = "INSERT INTO fact(key, value, at_ms) VALUES (?1, ?2, ?3) "
                   "ON CONFLICT(key) DO UPDATE SET value = ?2, at_ms = ?3",
    [Q_FACT_DELETE] = "DELETE FROM fact WHERE key = ?1",
    [Q_FACT_GET] = "SELECT value FROM fact WHERE key = ?1",

    [Q_RUN_INSERT] = "INSERT INTO run(id, source, destination, state, started_ms) "
                     "VALUES (?1, ?2, ?3, 'open', ?4)",
    [Q_RUN_OPEN] = "SELECT id, source, destination, state, started_ms, ended_ms FROM run "
                   "WHERE state = 'open' ORDER BY rowid DESC LIMIT 1",
    [Q_RUN_END] = "UPDATE run SET state = ?2, ended_ms = ?3 WHERE id = ?1 AND state = 'open'",
    [Q_RUNS] = "SELECT id, source, destination, state, started_ms, ended_ms FROM run "
               "ORDER BY rowid DESC",

    [Q_STEP_INSERT] = "INSERT INTO step(run, stage, what, detail, state, begun_ms) "
                      "VALUES (?1, ?2, ?3, ?4, 'open', ?5)",
    [Q_STEP_END] = "UPDATE step SET state = ?2, note = ?3, ended_ms = ?4 "
                   "WHERE id = ?1 AND state = 'open'",
    [Q_STEPS] = "SELECT id, stage, what, detail, state, note, begun_ms, ended_ms FROM step "
                "WHERE run IS ?1 ORDER BY id",

    [Q_EFFECT_INSERT] =
        "INSERT INTO effect(run, cluster, ref, verb, digest, leaves, previous, uid, "
        "resource_version, state, begun_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10)",
    [Q_EFFECT_NOTE] =
        "UPDATE effect SET previous = coalesce(?2, previous), uid = coalesce(?3, uid), "
        "resource_version = coalesce(?4, resource_version) WHERE id = ?1",
    /* What an outcome does not carry stays as the intent had it. */
    [Q_EFFECT_END] = "UPDATE effect SET state = ?2, uid = coalesce(?3, uid), "
                     "resource_version = coalesce(?4, resource_version), error = ?5, "
                     "digest = coalesce(?6, digest), leaves = coalesce(?7, leaves), ended_ms = ?8 "
                     "WHERE id = ?1",
    [Q_EFFECT_LAST] = "SELECT " EFFECT_COLUMNS " FROM effect "
                      "WHERE ref = ?2 AND cluster = ?1 AND state <> 2 ORDER BY id DESC LIMIT 1",
    [Q_EFFECT_PAGE] = "SELECT " EFFECT_COLUMNS " FROM effect WHERE id > ?1 "
                      "AND (?2 IS NULL OR run = ?2) AND (?3 < 0 OR state = ?3) "
                      "ORDER BY id LIMIT ?4",
    [Q_EFFECT_OF] = "SELECT " EFFECT_COLUMNS " FROM effect "
                    "WHERE ref = ?2 AND cluster = ?1 AND run IS ?3 ORDER BY id",

    [Q_EFFECT_TAIL] = "SELECT " EFFECT_COLUMNS " FROM effect "
                      "WHERE ref = ?2 AND cluster = ?1 AND run IS ?3 AND id >= coalesce((SELECT id "
                      "FROM effect WHERE ref = ?2 AND cluster = ?1 AND run IS ?3 AND state = 1 AND "
                      "(leaves IS NOT NULL OR verb IN ('delete', 'restore')) "
                      "ORDER BY id DESC LIMIT 1), 0) ORDER BY id",
    [Q_EFFECT_DELETED] = "SELECT ref, begun_ms FROM effect WHERE run IS ?1 AND cluster = ?2 "
                         "AND verb = 'delete' AND state <> 2 AND begun_ms >= ?3 ORDER BY id",

    [Q_EVENT_TIP] = "SELECT id, hash FROM event ORDER BY id DESC LIMIT 1",
    [Q_EVENT_INSERT] = "INSERT INTO event(id, at_ms, run, actor, what, detail, hash) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [Q_EVENTS] = "SELECT id, at_ms, run, actor, what, detail, hash FROM event "
                 "WHERE ?1 IS NULL OR run = ?1 ORDER BY id",
    /* SQLite keeps it for AUTOINCREMENT tables and never lowers it: rows cut off the end show. */
    [Q_EVENT_SEQUENCE] = "SELECT seq FROM sqlite_sequence WHERE name = 'event'",

    [Q_MOVE_INSERT] = "INSERT INTO move(run, from_stage, to_stage, name, actor, reason, state, "
                      "at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'intent', ?7)",
    [Q_MOVE_END] = "UPDATE move SET state = ?2, note = ?3, ended_ms = ?4 "
                   "WHERE id = ?1 AND state = 'intent'",
    [Q_MOVES] = "SELECT id, from_stage, to_stage, name, actor, reason, state, note, at_ms, "
                "ended_ms FROM move WHERE run = ?1 ORDER BY id",
    [Q_APPROVAL_INSERT] = "INSERT INTO approval(run, gate, actor, reason, after, at_ms) "
                          "SELECT ?1, ?2, ?3, ?4, coalesce(max(id), 0), ?5 FROM move "
                          "WHERE run = ?1",
    [Q_APPROVALS] = "SELECT id, gate, actor, reason, after, at_ms FROM approval "
                    "WHERE run = ?1 ORDER BY id",
};

const struct sql_statement sql_schema[] = {
    {1,
     "CREATE TABLE journal(id INTEGER PRIMARY KEY CHECK (id = 1), salt BLOB NOT NULL, "
     "made_ms INTEGER NOT NULL)",
     true},
    {1,
     "CREATE TABLE fact(key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, "
     "at_ms INTEGER NOT NULL)",
     true},
    {1,
     "CREATE TABLE run(id TEXT PRIMARY KEY NOT NULL, "
     "source TEXT NOT NULL CHECK (source IN ('a', 'b')), "
     "destination TEXT NOT NULL CHECK (destination IN ('a', 'b') AND destination <> source), "
     "state TEXT NOT NULL CHECK (state IN ('open', 'retired', 'aborted')), "
     "started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0)",
     true},
    {1,
     "CREATE TABLE step(id INTEGER PRIMARY KEY, run TEXT REFERENCES run(id), "
     "stage TEXT NOT NULL, what TEXT NOT NULL, detail TEXT, "
     "state TEXT NOT NULL CHECK (state IN ('open', 'done', 'failed', 'skipped')), note TEXT, "
     "begun_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0)",
     true},
    {1, "CREATE INDEX step_run ON step(run)", false},
    {1,
     "CREATE TABLE effect(id INTEGER PRIMARY KEY, run TEXT REFERENCES run(id), "
     "cluster TEXT NOT NULL CHECK (cluster IN ('a', 'b')), ref TEXT NOT NULL, "
     "verb TEXT NOT NULL, digest TEXT, leaves TEXT, previous TEXT, uid TEXT, "
     "resource_version TEXT, error TEXT, "
     "state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3), "
     "begun_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0)",
     true},
    {1, "CREATE INDEX effect_ref ON effect(ref)", false},
    {1,
     "CREATE TABLE event(id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, "
     "run TEXT REFERENCES run(id), actor TEXT NOT NULL, what TEXT NOT NULL, detail TEXT, "
     "hash TEXT NOT NULL)",
     true},
    /* Against our own mistakes; whoever means harm meets the hash chain. */
    {1,
     "CREATE TRIGGER event_kept BEFORE DELETE ON event "
     "BEGIN SELECT raise(ABORT, 'events are append-only'); END",
     false},
    {1,
     "CREATE TRIGGER event_fixed BEFORE UPDATE ON event "
     "BEGIN SELECT raise(ABORT, 'events are append-only'); END",
     false},
    {1,
     "CREATE TRIGGER effect_kept BEFORE DELETE ON effect "
     "BEGIN SELECT raise(ABORT, 'effects are append-only'); END",
     false},
    {1,
     "CREATE TRIGGER step_kept BEFORE DELETE ON step "
     "BEGIN SELECT raise(ABORT, 'steps are append-only'); END",
     false},
    {2,
     "CREATE TABLE move(id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL REFERENCES "
     "run(id), "
     "from_stage TEXT NOT NULL, to_stage TEXT NOT NULL CHECK (to_stage <> from_stage), "
     "name TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT, "
     "state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'failed')), note TEXT, "
     "at_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0)",
     true},
    {2, "CREATE INDEX move_run ON move(run)", false},
    {2,
     "CREATE TRIGGER move_kept BEFORE DELETE ON move "
     "BEGIN SELECT raise(ABORT, 'moves are append-only'); END",
     false},
    {2,
     "CREATE TRIGGER move_fixed BEFORE UPDATE ON move WHEN old.state <> 'intent' "
     "OR new.id <> old.id OR new.run <> old.run OR new.from_stage <> old.from_stage "
     "OR new.to_stage <> old.to_stage OR new.name <> old.name OR new.actor <> old.actor "
     "OR new.reason IS NOT old.reason OR new.at_ms <> old.at_ms "
     "BEGIN SELECT raise(ABORT, 'moves are append-only'); END",
     false},
    {2,
     "CREATE TABLE approval(id INTEGER PRIMARY KEY AUTOINCREMENT, "
     "run TEXT NOT NULL REFERENCES run(id), gate TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT, "
     "after INTEGER NOT NULL, at_ms INTEGER NOT NULL)",
     true},
    {2, "CREATE INDEX approval_run ON approval(run)", false},
    {2,
     "CREATE TRIGGER approval_kept BEFORE DELETE ON approval "
     "BEGIN SELECT raise(ABORT, 'approvals are append-only'); END",
     false},
    {2,
     "CREATE TRIGGER approval_fixed BEFORE UPDATE ON approval "
     "BEGIN SELECT raise(ABORT, 'approvals are append-only'); END",
     false},
};
const size_t sql_schema_len = COUNT_OF(sql_schema);
