#!/bin/bash
# The unit as systemd reads it, and its agreement with the activation file.
set -euo pipefail

unit=units/tcmu-supervisor.service
activation=dbus-policy/org.kernel.TCMUService1.service
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

value() { sed -n "s/^$2=//p" "$1"; }

# An unknown or misspelt directive is only a warning, so any output about our unit is a failure. The program and the
# manual pages need not be installed here.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed -e 's|^ExecStart=.*|ExecStart=/bin/true|' -e '/^Documentation=/d' "$unit" > "$scratch/tcmu-supervisor.service"
complaints=$(systemd-analyze verify --man=no "$scratch/tcmu-supervisor.service" 2>&1 | grep -F tcmu-supervisor || true)
[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"

[ "$(value "$unit" BusName)" = "$(value "$activation" Name)" ] || fail "unit and activation file name two services"
[ "$(value "$unit" ExecStart)" = "$(value "$activation" Exec)" ] || fail "unit and activation file start two programs"
[ "$(value "$activation" SystemdService)" = "$(basename "$unit")" ] || fail "the activation file names another unit"
[ "$(value "$unit" Alias)" = tcmu-runner.service ] || fail "the alias for tcmu-runner's unit is missing"
[ "$(value "$unit" Type)" = notify ] || fail "a restart of the bus would stop the unit"
[ "$(value "$unit" KillMode)" = process ] || fail "hosts would be killed instead of flushing"

exit $((failures != 0))
