/* One function per command, each in cmd_<name>.c; the table that names them is commands.c. */
#pragma once

#include "cli/cli.h"

#define COMMAND(fn) int fn(const struct command *c, int argc, char **argv)
COMMAND(cmd_init);
COMMAND(cmd_doctor);
COMMAND(cmd_rbac);
COMMAND(cmd_plan);
COMMAND(cmd_explain);
COMMAND(cmd_migrate);
COMMAND(cmd_verify);
COMMAND(cmd_follow);
COMMAND(cmd_activate);
COMMAND(cmd_adopt);
COMMAND(cmd_smoke);
COMMAND(cmd_cutover);
COMMAND(cmd_switch_back);
COMMAND(cmd_retire);
COMMAND(cmd_upgrade);
COMMAND(cmd_approve);
COMMAND(cmd_abort);
COMMAND(cmd_status);
COMMAND(cmd_unmigrate);
COMMAND(cmd_history);
COMMAND(cmd_probe);
COMMAND(cmd_demo);
#undef COMMAND
