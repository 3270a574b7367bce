#!/usr/bin/env bash
# The message bus fails, the LUNs do not: killed or restarted under I/O, it costs no error, no host and no stop of the unit,
# and the name is back by itself. A name that is taken, a second instance and a missing policy file each end the start
# with a message that says who or what is in the way and what to do. Without any bus the supervisor starts and serves.
# boot: own
# timeout: 600
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

POLICY=/usr/share/dbus-1/system.d/org.kernel.TCMUService1.conf

bus_answers() { busctl --timeout=5 call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId; }
owned_by() { [ "$(name_owner_pid)" = "$1" ]; }

# ---- The bus goes away under load

start_supervisor
make_backing /scratch/d0.raw 64M
create_lun file d0 64M /scratch/d0.raw
disk=$(loopback_lun d0)
start_load d0 "$disk"
wait_until 60 answered_over d0 200
first=$(main_pid)
host=$(property d0 HostPid)

bus_is_new() { bus_answers && [ "$(systemctl show --value -p MainPID dbus.service)" != "$1" ]; }
lose_bus() { # lose_bus WHAT COMMAND...: afterwards everything is as before
  local what=$1 old count
  shift
  old=$(systemctl show --value -p MainPID dbus.service)
  count=$(answered d0)
  say "the bus is lost: $what"
  "$@"
  wait_until 120 bus_is_new "$old"
  wait_until 120 owned_by "$first"
  wait_until 60 property_is d0 State serving
  # systemd, which follows the name too, must not take its loss for the service's end.
  expect_eq "$(systemctl is-active "$SUPERVISOR")" active "the unit after: $what"
  expect_eq "$(main_pid)" "$first" "the supervisor after: $what"
  expect_eq "$(property d0 HostPid)" "$host" "the host after: $what"
  wait_until 60 answered_over d0 $((count + 200))
  handler_shown file || die "file is not shown after: $what"
  tcmuctl list | contains ' serving ' || die "tcmuctl list after: $what"
}
lose_bus "dbus-daemon is killed" systemctl kill --kill-whom=main -s KILL dbus.service
lose_bus "dbus-daemon is killed again" systemctl kill --kill-whom=main -s KILL dbus.service
lose_bus "systemctl restart dbus" systemctl restart dbus.service
journal_has "message bus at .* is gone|the message bus went away" || die "the journal does not tell of the lost bus"
stop_load d0
expect_eq "$(property d0 Restarts)" 0 "restarts of the host"
expect_eq "$(property d0 Errors | jq add)" 0 "errors"
delete_lun d0

# ---- No bus at all

stop_supervisor
systemctl stop dbus.socket dbus.service
refused bus_answers >/dev/null
within 180 systemctl start "$SUPERVISOR" || die "the supervisor does not start without a bus"
hand_device 7 d7 dev_config=file//scratch/d7.raw "dev_size=$((16 << 20))"
make_backing /scratch/d7.raw 16M
echo 1 >"$TARGET/core/user_7/d7/enable"
disk=$(hand_loopback d7)
within 60 dd if=/dev/urandom of="$disk" bs=1M count=4 oflag=direct status=none || die "no I/O without a bus"
expect_eq "$(status_of tcmuctl doctor)" 8 "exit status of tcmuctl doctor without a bus"
contains "PROBLEM  The system bus can't be reached: " < <(tcmuctl doctor)
systemctl start dbus.socket dbus.service
wait_until 120 owned_by "$(main_pid)"
expect_eq "$(property d7 State)" serving "the device, once there is a bus"
hand_unexport d7
hand_remove "$TARGET/core/user_7/d7"

# ---- A second instance

first=$(main_pid)
create_lun file d0 64M /scratch/d0.raw
status=0
tcmu-supervisor >"$FILES/second.out" 2>"$FILES/second.err" || status=$?
expect_eq "$status" 1 "exit status of a second instance"
grep -q "a TCMU daemon runs already: tcmu-supervisor (pid $first) holds /run/tcmu.lock" "$FILES/second.err" ||
  die "the second instance said: $(cat "$FILES/second.err")"
owned_by "$first" || die "the second instance disturbed the first"
property_is d0 State serving || die "the second instance disturbed the LUN"
delete_lun d0
stop_supervisor

# ---- The name is taken

python3 - <<'PYTHON' &
import ctypes
from gi.repository import Gio, GLib
ctypes.CDLL(None).prctl(15, b"name-thief", 0, 0, 0)
Gio.bus_own_name(Gio.BusType.SYSTEM, "org.kernel.TCMUService1", Gio.BusNameOwnerFlags.NONE, None, None, None)
GLib.MainLoop().run()
PYTHON
thief=$!
wait_until 60 owned_by "$thief"
refused_by() { journal_has "$1"; }
# systemd starts it again so soon that its properties forget the status.
ends_with_1() { unit_journal "$SUPERVISOR" | grep -c 'code=exited, status=1/FAILURE' || true; }
more_ends_with_1() { [ "$(ends_with_1)" -gt "$1" ]; }
before=$(ends_with_1)
systemctl start --no-block "$SUPERVISOR"
wait_until 60 refused_by "the bus name $BUS_NAME is owned by pid $thief \(name-thief.*\): stop it first"
wait_until 60 more_ends_with_1 "$before"
owned_by "$thief" || die "the name was taken from its owner"
expect_eq "$(status_of tcmuctl doctor)" 8 "exit status of tcmuctl doctor with the name taken"
contains "The bus name belongs to another daemon: pid $thief (name-thief)" < <(tcmuctl doctor) || die "the doctor does not name the thief"
# The unit tries again; nobody has to start it once the thief has gone.
kill "$thief"
wait "$thief" || true
serving_again() { [ "$(systemctl is-active "$SUPERVISOR")" = active ] && owned_by "$(main_pid)"; }
wait_until 120 serving_again
stop_supervisor

# ---- The policy file is missing

mv "$POLICY" /root/policy
bus_daemon ReloadConfig
before=$(ends_with_1)
systemctl start --no-block "$SUPERVISOR"
wait_until 60 refused_by "the message bus does not let us own $BUS_NAME: is $POLICY installed, readable by the bus and loaded \(systemctl reload dbus\)\?"
wait_until 60 more_ends_with_1 "$before"
doctor_finds() { # doctor_finds TEXT
  local status=0
  tcmuctl doctor >/run/doctor.txt || status=$?
  expect_eq "$status" 8 "exit status of tcmuctl doctor"
  grep -qF -- "$1" /run/doctor.txt || die "the doctor does not say \"$1\": $(cat /run/doctor.txt)"
}
doctor_finds "The bus's policy file $POLICY is missing."
doctor_finds "The bus lets the supervisor own no name: its policy file is not in force."
mv /root/policy "$POLICY"
bus_daemon ReloadConfig
wait_until 120 serving_again
stop_supervisor
