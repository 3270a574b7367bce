# shellcheck shell=bash
# The developer's shell in `guest shell`: the scenarios' verbs, without the rule that the first failure ends everything.
export SCENARIO=shell SCENARIO_DIR=/share/shell FILES=/share/shell PHASE=start PATIENCE=1 LC_ALL=C
mkdir -p "$FILES"
JOURNAL_CURSOR=$(journalctl -q -n 0 --show-cursor | sed -n 's/^-- cursor: //p')
export JOURNAL_CURSOR
# shellcheck source=test/guest/lib.sh
source /usr/lib/bulkhead-guest/lib.sh
set +euo pipefail
set +E
trap - ERR
die() { printf 'FAILED: %s\n' "$*" >&2; return 1; }
PS1='guest# '
cat <<'TEXT'
Bulkhead guest. The verbs of test/guest/lib.sh are defined; /share is the run's directory on the host.
Ctrl-D or `exit` powers the machine off; Ctrl-A x ends QEMU at once.
TEXT
