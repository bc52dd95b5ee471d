/* The sections of tandem.yaml that are lists of structs: one reader each. Private to config*.c.
 * The value is the section, or NULL when absent. */
#pragma once

#include "run/config.h"
#include "run/config_read.h"

int config_rules(struct config_reader *rd, yyjson_mut_val *list, struct config *c);
int config_hazards(struct config_reader *rd, yyjson_mut_val *hazards, struct config *c);
int config_tiers(struct config_reader *rd, yyjson_mut_val *map, struct config *c);
int config_probes(struct config_reader *rd, yyjson_mut_val *map, struct config *c);
int config_smokes(struct config_reader *rd, yyjson_mut_val *list, struct config *c);
int config_hooks(struct config_reader *rd, yyjson_mut_val *list, struct config *c);
int config_notices(struct config_reader *rd, yyjson_mut_val *v, struct config *c);
int config_journal(struct config_reader *rd, yyjson_mut_val *v, struct config *c);
int config_gates(struct config_reader *rd, yyjson_mut_val *gates, struct config *c);
