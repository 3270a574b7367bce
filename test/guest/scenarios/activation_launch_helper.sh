#!/usr/bin/env bash
# Without systemd: a message bus of its own, with the system's configuration and its launch helper, starts the supervisor
# from the installed .service file when a client calls. Then the main job runs on that bus: a LUN by unmodified targetcli.
# run: once
# timeout: 400
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

if [ "${1:-}" != elsewhere ]; then
  # Where /run/dbus is private, whoever wants the system bus finds ours. The rest of the machine keeps its own.
  exec unshare --mount --propagation private -- "$BASH" "$0" elsewhere
fi

mount -t tmpfs -o mode=755 tmpfs /run/dbus
systems_bus=$(stat -c %i /proc/1/root/run/dbus/system_bus_socket)
dbus-daemon --system --nofork --nopidfile >"$FILES/dbus-daemon.log" 2>&1 &
bus=$!
bus_is_up() { bus_daemon GetId; }
wait_until 60 bus_is_up
[ "$(stat -c %i /run/dbus/system_bus_socket)" != "$systems_bus" ] || die "this is still the system's own bus"
refused bus_daemon GetNameOwner s org.freedesktop.systemd1 >/dev/null

supervisor_pid() { pgrep -x tcmu-supervisor || true; }
gone() { [ ! -e "/proc/$1" ]; }
expect_eq "$(supervisor_pid)" "" "supervisors before the first call"

# ---- Launched by a call

make_backing /scratch/d0.raw 64M
expect_eq "$(check_config file//scratch/d0.raw)" '[true,"success"]' "the call that starts the service"
pid=$(supervisor_pid)
expect_eq "$(name_owner_pid)" "$pid" "owner of the name"
expect_eq "$(stat -c %u "/proc/$pid")" 0 "the supervisor's uid"
expect_eq "$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^DBUS_STARTER_BUS_TYPE=//p')" system "who started it"
expect_eq "$(systemctl is-active "$SUPERVISOR" || true)" inactive "systemd's unit"
expect_eq "$(check_config file//scratch/none.raw | jq '.[0]')" false "verdict on a missing file"

# ---- The main job

create_lun file d0 64M /scratch/d0.raw
disk=$(loopback_lun d0)
dd if=/dev/urandom of=/run/data bs=1M count=8 status=none
dd if=/run/data of="$disk" bs=1M oflag=direct status=none
host=$(property d0 HostPid)
kill -9 "$host"
expect_eq "$(dd if="$disk" bs=1M count=8 iflag=direct status=none | sha256sum)" "$(sha256sum </run/data)" \
  "data after the host was killed"
wait_until 60 property_is d0 Restarts 1
[ "$(property d0 HostPid)" != "$host" ] || die "the host was not replaced"
delete_lun d0

# ---- Stopped, launched again

kill -TERM "$pid"
wait_until 60 gone "$pid"
! pgrep -f '^tcmu-host: ' || die "hosts are left behind"
check_config file//scratch/d0.raw >/dev/null
again=$(supervisor_pid)
[[ -n $again && $again != "$pid" ]] || die "the next call started no new supervisor"
kill -TERM "$again"
wait_until 60 gone "$again"
kill "$bus"
wait "$bus" || true
