#!/usr/bin/env bash
# The real polkit decides who else than root may steer a device: by default nobody without a password, by a rule one user, one
# method, one device. When polkit has ended, it is root again, and the bus starts no other.
# run: by-name
# boot: own
# packages: polkitd
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

readonly RULE=/etc/polkit-1/rules.d/10-tcmu.rules
readonly POLKIT=org.freedesktop.PolicyKit1

nobody_calls() { # nobody_calls NAME METHOD [ARGUMENT...]
  as_nobody dbus-send --system --print-reply --reply-timeout="$(deadline 90)000" --dest="$BUS_NAME" "$(device_object "$1")" \
    "$DEVICE_INTERFACE.$2" "${@:3}"
}
refused_by_polkit() { # refused_by_polkit NAME METHOD [ARGUMENT...]
  refused_as "AccessDenied: $2 of .*/$1 is for root only, and those whom polkit allows $BUS_NAME.${2,,}" nobody_calls "$@"
}
has_owner() { bus_daemon NameHasOwner s "$1" | contains true; }
allowed() { nobody_calls d0 Restart; }

start_supervisor
for lun in d0 d1; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
done

say "== without a rule: an administrator's password, which dbus-send lets nobody ask for"
host=$(property d0 HostPid)
for method in Restart Hold Resume ResetLimits; do refused_by_polkit d0 "$method"; done
refused_by_polkit d0 SetLimits uint64:7 uint64:0
has_owner "$POLKIT" || die "polkit was not started by our question: who refused?"
expect_eq "$(property d0 HostPid) $(property d0 State) $(property d0 LimitIops)" "$host serving 0" "host, state and limit after refused calls"
expect_eq "$(as_nobody pkaction --action-id "$BUS_NAME.restart" --verbose | grep -c 'implicit any: *auth_admin$')" 1 \
  "polkit's own view of our action"

say "== a rule for one user, one method, one device"
key=$(basename "$(dirname "$(device_of d0)")")/d0
cat >"$RULE" <<JS
polkit.addRule(function(action, subject) {
  if (action.id == "$BUS_NAME.restart" && action.lookup("device") == "$key" && subject.user == "nobody")
    return polkit.Result.YES;
});
JS
wait_until 60 allowed
wait_until 60 property_is d0 State serving
[ "$(property d0 HostPid)" != "$host" ] || die "the host was not replaced"
expect_eq "$(status_of as_nobody tcmuctl restart d0)" 0 "exit status of nobody's tcmuctl restart"
refused_by_polkit d0 Hold
refused_by_polkit d1 Restart

say "== no polkit any more"
systemctl mask --runtime --now polkit.service
refused_as 'AccessDenied: Restart of .*/d0 is for root only' nobody_calls d0 Restart
bus_call "$BUS_NAME" "$(device_object d0)" "$DEVICE_INTERFACE" Restart
wait_until 60 property_is d0 State serving
delete_lun d0
delete_lun d1
stop_supervisor
