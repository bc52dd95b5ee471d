#include "cli/commands.h"

static const struct command table[] = {
    {"init", "", "write a commented tandem.yaml from what is found",
     "Reads the kubeconfig contexts (and the clusters, where they answer) and writes a\n"
     "tandem.yaml to begin with. An existing file is left alone unless --yes is given.",
     "Look first", cmd_init},
    {"doctor", "", "check access, versions, hazards and everything outside; change nothing",
     "Reads both clusters (or A alone, with --target VERSION) and every configured outside\n"
     "system and lists what would go wrong, how bad it is, and what to do. What you have dealt\n"
     "with can be silenced in tandem.yaml (hazards.silence). -o json and -o sarif for machines.\n"
     "Exit code 0: clean, 2: warnings, 4: something blocks the upgrade.",
     "Look first", cmd_doctor, .sarif = true},
    {"rbac", "a|b", "print the least ClusterRole that this configuration needs",
     "For the cluster that is read and for the one that is written; apply it with kubectl and\n"
     "bind it to the credential that tandem is given.",
     "Look first", cmd_rbac},
    {"plan", "", "show what would be created, changed, held, skipped or blocked, and why",
     "Reads both clusters and decides for each object. Nothing is written. --out freezes the\n"
     "plan in a file that `tandem migrate` can be held to. Secret values are never shown.\n"
     "Exit code 0 whatever it found; with --detailed-exitcode 2 when something is left to do.",
     "Look first", cmd_plan},
    {"explain", "KIND[/NAME]", "one object: verdict, rule, each field's fate, order, references",
     "Shows for one object of the source what becomes of it and why, field by field.\n"
     "--policy prints the rules themselves (of one KIND, if given): what is kept, dropped,\n"
     "rewritten or held, and why; -o json gives them to other programs.",
     "Look first", cmd_explain},
    {"migrate", "[plan.json]", "recreate everything in the destination",
     "Carries the plan out: reads each object from the source and creates it in the destination.\n"
     "May be stopped or killed at any moment: run it again and it goes on. Running it again when\n"
     "all is done changes nothing. With a plan file only what that plan showed is written;\n"
     "objects that changed since are skipped and listed (--stale).",
     "Recreate", cmd_migrate},
    {"verify", "", "compare both clusters again, object by object and readiness by readiness",
     "Exit code 0: equal, 2: differences. Held objects count as the same and are listed.",
     "Recreate", cmd_verify},
    {"follow", "", "keep the destination in step: creates, changes and deletes, live",
     "Watches everything that is migrated and carries each change over by the same rules, until\n"
     "^C. Deletes only what this run created; asks before it deletes much (follow.deletes in\n"
     "tandem.yaml), and always before namespaces, definitions and storage: what asks is listed,\n"
     "and goes with --approve. --until-synced ends as soon as both are equal. --reverse carries\n"
     "from the destination back to the source, after the switch.",
     "Recreate", cmd_follow},
    {"unmigrate", "", "take back what the open run wrote to the destination",
     "Deletes what the run created and gives what it changed its previous values back, in the\n"
     "reverse order, and only that: what somebody has changed since is left and listed. Refused\n"
     "while the destination has live traffic or runs singletons. May be stopped or killed: run it\n"
     "again and it goes on. Exit code 2 when something was left.",
     "Watch and go back", cmd_unmigrate},
    {"smoke", "", "run the configured checks against the destination through pre-live",
     "Live host name and SNI, connection to the pre-live address. An answer that does not name\n"
     "itself as the destination's fails. Exit code 1 when a check fails.",
     "Switch", cmd_smoke},
    {"activate", "", "hand the singletons (CronJobs, Jobs) to the destination",
     "What was created held is let loose in the destination after its twin in the source has\n"
     "been held; original values come back. At no moment do both act.",
     "Switch", cmd_activate},
    {"deactivate", "", "hand the singletons back to the source",
     "The reverse of `tandem activate`.", "Watch and go back", cmd_activate},
    {"cutover", "", "move the live traffic to the destination, step by step",
     "Moves every tier through the configured steps, holds between them, watches the probes and\n"
     "takes the traffic back by itself when one breaks its limit. Pre-live follows at the end.",
     "Switch", cmd_cutover},
    {"switch-back", "", "the whole way back: traffic, sync direction, singletons",
     "Always legal until retire; needs no plan and works without the journal (--to says then\n"
     "where back is). Names what is not taken back and records that it was accepted. The traffic\n"
     "goes first and waits for nothing; what could not be done is named, with exit code 1: run\n"
     "it again and it goes on. --traffic-only leaves the rest where it is.",
     "Watch and go back", cmd_switch_back},
    {"adopt", "", "take the observed state of the traffic as true",
     "Commands that act are refused when the load balancers do not do what the journal believes.\n"
     "This records what they do as true, with actor and reason. Refused when it cannot be seen\n"
     "whole: a node that does not answer, nodes or tiers that differ.",
     "Watch and go back", cmd_adopt},
    {"retire", "", "let the source go, once nothing needs it",
     "Refuses while the source sees traffic or still runs singletons. tandem deletes nothing:\n"
     "it ends the run and prints what you are to destroy.",
     "Switch", cmd_retire},
    {"upgrade", "", "all of it in order: preflight to retire, with gates",
     "Walks the stages: preflight, migrate, follow, test, activate, switch, bake, retire. What is\n"
     "done already is left out. Before a stage with a gate (gates in tandem.yaml; always before\n"
     "retire) it waits for approvals and checks: on a terminal or with --wait; otherwise it ends\n"
     "with exit code 3. The probes are watched while it waits; one that breaks its limit aborts,\n"
     "and takes the traffic back once it was moved. ^C and kill leave it resumable.",
     "Upgrade", cmd_upgrade},
    {"approve", "[STAGE|WHAT]", "let the run through a gate",
     "Without a word: the gate at which the run waits. A stage ahead can be approved beforehand.\n"
     "An approval counts until the run goes back. Deletions that live sync asks about are let go\n"
     "by `deletes`, a kind, or an object.",
     "Upgrade", cmd_approve},
    {"resume", "", "go on with a run that was stopped, killed or aborted",
     "Looks first: a move that was under way is settled by what steps, clusters and load\n"
     "balancers show; nothing is done twice. Goes as far as `upgrade --until` was to.",
     "Upgrade", cmd_upgrade},
    {"abort", "", "take the run back as far as its stage needs",
     "Traffic and singletons go to the source again; the run stays open at migrate. Asks the\n"
     "process that carries the run out, and acts itself when there is none or it hangs.",
     "Upgrade", cmd_abort},
    {"status", "", "the run's state, gates, the traffic, and the way back",
     "Stages with who approved what, steps under way, where the traffic goes, live sync, probes,\n"
     "what is held where, and the way back. -w draws it anew once a second.",
     "Watch and go back", cmd_status},
    {"history", "", "the audit trail",
     "Every action with time and actor. --verify checks the chain of hashes and the signatures in\n"
     "JOURNAL.sig, offline; --sign adds one. --from-cluster shows the record that a run on "
     "another\n"
     "machine has mirrored into the cluster. Exit code 1 when something was changed or cut.",
     "Watch and go back", cmd_history},
    {"probe", "URL", "send requests on a schedule and show whether one was lost",
     "Open loop: every request is sent when it is due, whatever happened to the ones before.\n"
     "Separate lanes over new and over reused connections. Exit code 2 when one was lost.",
     "Watch and go back", cmd_probe},
    {"demo", "", "a whole upgrade on this machine: two real control planes, no cluster needed",
     "Brings up two control planes of different versions, HAProxy and a sample platform, and\n"
     "walks through doctor, plan, migrate, verify, smoke, activate, cutover, switch-back,\n"
     "cutover again and retire while a prober counts lost requests.",
     "Try it", cmd_demo},
};

const struct command *commands_table(size_t *ret_n) {
    *ret_n = COUNT_OF(table);
    return table;
}
