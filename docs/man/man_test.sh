#!/bin/bash
# Manual pages: well formed, and tcmuctl's true to the program.
set -euo pipefail

failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

for page in docs/man/*.[158]; do
    complaints=$(groff -man -ww -Tutf8 -P-c "$page" 2>&1 >/dev/null)
    [ -z "$complaints" ] || fail "$page: $complaints"
done

page=docs/man/tcmuctl.1
text=$(groff -man -Tascii -P-cbou "$page")

# "  list                        the devices and their state"; an alias follows its command after a comma.
commands=$(tcmuctl/tcmuctl --help | sed -n '/^Subcommands:/,$p' | sed -n 's/^  \([a-z][a-z-]*\).*/\1/p')
[ "$(wc -w <<< "$commands")" -ge 9 ] || fail "no commands in tcmuctl --help"
for command in $commands; do
    grep -qE "^ +(\S+, )?$command(,|$| )" <<< "$text" || fail "tcmuctl.1 does not tell of '$command'"
done

codes=$(sed -n 's/^  [A-Za-z]* = \([0-9]*\),.*/\1/p' tcmuctl/exit_code.h | sort -n | tr '\n' ' ')
documented=$(sed -n '/^EXIT STATUS/,/^ENVIRONMENT/p' <<< "$text" | sed -n 's/^ *\([0-9]\) .*/\1/p' | sort -n | tr '\n' ' ')
[ "$codes" = "$documented" ] || fail "exit codes are $codes, tcmuctl.1 documents $documented"

exit $((failures != 0))
