/* Every statement and the schema of the journal, as tables. Internal to this folder. */
#pragma once

#include "base/util.h"

enum query_name {
    Q_BEGIN,
    Q_COMMIT,
    Q_ROLLBACK,
    Q_SALT,
    Q_SALT_SET,
    Q_COLUMNS,
    Q_FACT_SET,
    Q_FACT_DELETE,
    Q_FACT_GET,
    Q_RUN_INSERT,
    Q_RUN_OPEN,
    Q_RUN_END,
    Q_RUNS,
    Q_STEP_INSERT,
    Q_STEP_END,
    Q_STEPS,
    Q_EFFECT_INSERT,
    Q_EFFECT_NOTE,
    Q_EFFECT_END,
    Q_EFFECT_LAST,
    Q_EFFECT_PAGE,
    Q_EFFECT_OF,
    Q_EFFECT_TAIL,
    Q_EFFECT_DELETED,
    Q_EVENT_TIP,
    Q_EVENT_INSERT,
    Q_EVENTS,
    Q_EVENT_SEQUENCE,
    Q_MOVE_INSERT,
    Q_MOVE_END,
    Q_MOVES,
    Q_APPROVAL_INSERT,
    Q_APPROVALS,
    Q_COUNT
};

extern const char *const sql_query[Q_COUNT];

/* Big-endian "tndm" at offset 68 of the file: how a journal is told from other SQLite files. */
enum { SQL_APPLICATION_ID = 0x746e646d, SQL_SCHEMA_VERSION = 2 };

/* In order; opening runs those that are newer than the file. */
struct sql_statement {
    int since; /* version that it brings */
    const char *text;
    bool table; /* takes STRICT */
};
extern const struct sql_statement sql_schema[];
extern const size_t sql_schema_len;
