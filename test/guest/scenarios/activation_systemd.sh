#!/usr/bin/env bash
# Nobody needs to start the service: with systemd, the first client on the bus does (targetcli, busctl), and many at once
# start one. tcmuctl only looks and starts nothing. Enabled, it is there after a reboot, under tcmu-runner's name as well.
# run: once
# timeout: 400
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

state_of() { systemctl is-active "$1" || true; }

case $PHASE in
  start)
    expect_eq "$(state_of "$SUPERVISOR")" inactive "the supervisor at first"
    expect_eq "$(status_of tcmuctl list)" 3 "exit status of tcmuctl list without a supervisor"
    expect_eq "$(state_of "$SUPERVISOR")" inactive "the supervisor after tcmuctl asked for it"

    within 180 targetcli ls /backstores >/run/backstores || die "targetcli ls failed"
    grep -q user:file /run/backstores || die "targetcli started no supervisor: $(cat /run/backstores)"
    expect_eq "$(state_of "$SUPERVISOR")" active "the supervisor after targetcli ls"
    expect_eq "$(name_owner_pid)" "$(main_pid)" "owner of the name"

    # Its unit's walls stand; and no directive has crept in that would hide from it a file that a config string names.
    expect_eq "$(readlink "/proc/$(main_pid)/ns/mnt")" "$(readlink /proc/1/ns/mnt)" "mount namespace of the supervisor"
    expect_eq "$(awk '/^Seccomp:/ { print $2 }' "/proc/$(main_pid)/status")" 2 "system call filter of the supervisor"

    stop_supervisor
    ! bus_name_owned || die "the name is still owned after a stop"
    make_backing /scratch/d0.raw 32M
    expect_eq "$(check_config file//scratch/d0.raw)" '[true,"success"]' "a call that starts the service"
    expect_eq "$(state_of "$SUPERVISOR")" active "the supervisor after busctl call"

    stop_supervisor
    callers=()
    for _ in 1 2 3 4 5 6; do
      bus_call "$BUS_NAME" "$DEVICES" org.freedesktop.DBus.Peer Ping & callers+=($!)
    done
    for caller in "${callers[@]}"; do wait "$caller" || die "one of the calls that came at once failed"; done
    expect_eq "$(pgrep -cx tcmu-supervisor)" 1 "supervisors after six calls at once"

    # tcmu-runner's name is the same unit.
    refused systemctl status tcmu-runner.service >/dev/null
    systemctl enable "$SUPERVISOR"
    systemctl --no-pager status tcmu-runner.service >"$FILES/status-tcmu-runner.txt" || die "systemctl status tcmu-runner fails"
    grep -q '^. tcmu-supervisor.service' "$FILES/status-tcmu-runner.txt" || die "tcmu-runner is another unit"
    within 180 systemctl stop tcmu-runner
    expect_eq "$(state_of tcmu-runner)" inactive "tcmu-runner after its stop"
    expect_eq "$(state_of "$SUPERVISOR")" inactive "the supervisor after a stop of tcmu-runner"
    expect_eq "$(check_config file//scratch/d0.raw)" '[true,"success"]' "activation while the alias exists"
    expect_eq "$(state_of tcmu-runner)" active "tcmu-runner after the activation"
    first=$(main_pid)
    within 180 systemctl restart tcmu-runner
    wait_until 60 bus_name_owned
    [ "$(main_pid)" != "$first" ] || die "systemctl restart tcmu-runner restarted nothing"
    reboot_into rebooted
    ;;
  rebooted)
    wait_until 120 bus_name_owned
    expect_eq "$(state_of "$SUPERVISOR")" active "the supervisor after a reboot"
    expect_eq "$(state_of tcmu-runner)" active "tcmu-runner after a reboot"
    systemctl disable "$SUPERVISOR"
    [ ! -e /etc/systemd/system/tcmu-runner.service ] || die "the alias is left after disable"
    ;;
esac
