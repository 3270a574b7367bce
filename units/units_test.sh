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
sed -e 's|^ExecStop=[^ ]*|ExecStop=/bin/true|' -e '/^Documentation=/d' units/tcmu-own-disks.service >"$scratch/tcmu-own-disks.service"
sed -e '/^Documentation=/d' units/tcmu-hosts.service >"$scratch/tcmu-hosts.service"
complaints=$(systemd-analyze verify --man=no "$scratch"/*.service 2>&1 | grep -F tcmu- || true)
[ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"

[ "$(value "$unit" BusName)" = "$(value "$activation" Name)" ] || fail "unit and activation file name two services"
[ "$(value "$unit" ExecStart)" = "$(value "$activation" Exec)" ] || fail "unit and activation file start two programs"
[ "$(value "$activation" SystemdService)" = "$(basename "$unit")" ] || fail "the activation file names another unit"
[ "$(value "$unit" Alias)" = tcmu-runner.service ] || fail "the alias for tcmu-runner's unit is missing"
[ "$(value "$unit" Type)" = notify ] || fail "a restart of the bus would stop the unit"
[ "$(value "$unit" KillMode)" = process ] || fail "hosts would be killed with their supervisor, instead of being adopted"
[ "$(value "$unit" Delegate)" = yes ] || fail "systemd would tidy up the control groups of hosts that are to be adopted"

# What is left of root's power is told in docs/security.md, point by point, and becomes no more.
verdict=$(systemd-analyze security --offline=true --json=short "$unit")
table=$(sed 's/\\|/|/g' docs/security.md)
while IFS= read -r point; do
    grep -qF -- "\`$point\`" <<<"$table" || fail "docs/security.md does not say why the unit has no $point"
done < <(python3 -c 'import json, sys
for row in json.load(sys.stdin):
    if row["exposure"]: print(row["name"])' <<<"$verdict")
systemd-analyze security --offline=true --threshold=66 "$unit" >/dev/null || fail "systemd-analyze security counts more exposure than 6.6"

# The group of the hosts has controllers switched on, so no process may ever start in it: those of ExecStartPost= and
# ExecStop= have a group of their own below it, those of ExecStart= and ExecStartPre= have not.
hosts=units/tcmu-hosts.service
[ "$(value "$hosts" Delegate)" = yes ] || fail "systemd would tidy up the control groups of living hosts"
[ "$(value "$hosts" KillMode)" = process ] || fail "hosts would be killed with their unit"
[ "$(value "$hosts" TasksMax)" = infinity ] || fail "all hosts together would have few threads"
[ "$(value "$hosts" OOMPolicy)" = continue ] || fail "a host without memory would end all others"
grep -q '^ExecStartPost=' "$hosts" || fail "systemd would remove the group, as nobody is in it"
! grep -qE '^Exec(Start|StartPre|Condition)=' "$hosts" || fail "a start with living hosts would fail: EBUSY"
for key in Wants After PartOf; do
    grep -q "^$key=tcmu-hosts.service" "$unit" || fail "the supervisor lacks $key=tcmu-hosts.service"
done

# A supervisor that ends is followed by one that adopts its hosts.
store=$(value "$unit" FileDescriptorStoreMax)
# 1400 LUNs; systemd closes what is too much, and LUNs beyond it would be reset at a restart.
[ "${store:-0}" -ge 16000 ] || fail "systemd keeps only ${store:-no} descriptors for the next supervisor"
[ "$(value "$unit" NotifyAccess)" = main ] || fail "others than the supervisor could put descriptors into its store"
[ "$(value "$unit" Restart)" = always ] || fail "after some ends no supervisor would follow"
[ "$(value "$unit" RestartSec)" = 100ms ] || fail "commands would wait for the next supervisor longer than needed"
[ "$(value "$unit" StartLimitIntervalSec)" = 0 ] || fail "a supervisor that crashes often would not be started again"
[ "$(value "$unit" RestartPreventExitStatus)" = 2 ] || fail "a wrong command line would be tried for ever"

grep -q '^After=tcmu-supervisor.service rtslib-fb-targetctl.service' units/tcmu-own-disks.service ||
    fail "this machine's own disks would lose their server before they are taken down"

exit $((failures != 0))
