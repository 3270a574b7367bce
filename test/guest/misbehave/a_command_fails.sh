#!/usr/bin/env bash
# A command that fails, also inside a function in a substitution, ends the scenario and is named with its line.
# verdict: fail -- ^a_command_fails.sh:5: ls /nowhere \(status 2\)$
source /usr/lib/bulkhead-guest/lib.sh
look() { ls /nowhere; }
found=$(look)
say "not reached: $found"
