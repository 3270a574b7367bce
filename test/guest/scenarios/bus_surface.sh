#!/usr/bin/env bash
# What busctl shows: the service that tcmu-runner's clients know, with handlers and nothing else; the operators' objects
# with values that agree with the kernel and move with I/O; signals when a host dies. What it printed is kept for docs/dbus.md.
# run: once
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

INTERFACES=/usr/share/dbus-1/interfaces
MANIFESTS=/usr/lib/tcmu-bulkhead/handlers

# ---- Handlers, and nothing but handlers

start_supervisor
expect_eq "$(name_owner_pid)" "$(main_pid)" "owner of the bus name"
mapfile -t subtypes < <(find "$MANIFESTS" -name '*.textproto' -printf '%f\n' | sed 's|\.textproto$||' | sort)
expected_handlers=$(printf "$HANDLERS/%s\n" "${subtypes[@]}")
expect_eq "$(handler_objects | sort)" "$expected_handlers" "objects that targetcli takes for backstores"

create_lun_files() {
  make_backing /scratch/d0.raw 64M
  create_lun file d0 64M /scratch/d0.raw
}
signals() { jq -c "select(.type == \"signal\")${1:+ | select($1)}" "$FILES/monitor.json" 2>/dev/null; }
seen() { [ "$(signals "$1" | wc -l)" -gt 0 ]; }

busctl monitor --json=short "$BUS_NAME" >"$FILES/monitor.json" 2>"$FILES/monitor.err" &
# Only what comes after it listens proves anything: a call that it shows tells that it does.
monitor_listens() {
  bus_call "$BUS_NAME" "$DEVICES" org.freedesktop.DBus.Peer Ping && grep -q '"Ping"' "$FILES/monitor.json"
}
wait_until 60 monitor_listens

create_lun_files
disk=$(loopback_lun d0)
object=$(device_object d0)
expect_eq "$(handler_objects | sort)" "$expected_handlers" "objects that targetcli takes for backstores, with a device"
# GLib's answer had this one interface with this one property: clients index it blindly.
busctl --json=short call "$BUS_NAME" "$HANDLERS" org.freedesktop.DBus.ObjectManager GetManagedObjects |
  jq -e --arg i "$BUS_NAME" '[.data[0][] | (keys == [$i]) and (.[$i] | keys == ["ConfigDesc"]) and
    .[$i].ConfigDesc.type == "s" and (.[$i].ConfigDesc.data | length > 0)] | all' >/dev/null ||
  die "GetManagedObjects has other interfaces or properties than tcmu-runner's"
wait_until 60 seen '.member == "InterfacesAdded" and .path == "/org/kernel/TCMUDevices1" and .payload.data[0] == "'"$object"'"'
! seen ".path == \"$HANDLERS\"" || die "a device was announced to targetcli"

expected_tree=$(printf '%s\n' /org /org/kernel "$HANDLERS" "$HANDLERS/HandlerManager1" "$expected_handlers" \
  "$DEVICES" "$DEVICES/handlers" "${subtypes[@]/#/$DEVICES/handlers/}" "${object%/*}" "$object" | sort -u)
expect_eq "$(busctl tree --list --no-pager "$BUS_NAME" | grep -v '^/$' | sort -u)" "$expected_tree" "busctl tree"

# ---- What is installed as XML is what runs

same() { /usr/lib/bulkhead-guest/helpers/same_interface.py "$INTERFACES/$1.xml" "$2" || die "$2 differs from $1.xml"; }
for subtype in "${subtypes[@]}"; do
  same org.kernel.TCMUService1 "$HANDLERS/$subtype"
  same org.kernel.TCMUService1.Handler1 "$DEVICES/handlers/$subtype"
done
same org.kernel.TCMUService1.HandlerManager1 "$HANDLERS/HandlerManager1"
same org.kernel.TCMUService1.Manager1 "$DEVICES"
same org.kernel.TCMUService1.Device1 "$object"

# ---- Values that are true

place=$(device_of d0)
pid=$(property d0 HostPid)
expect_eq "$(pgrep -f '^tcmu-host: file/d0')" "$pid" "the host's pid"
expect_eq "$(property d0 HostUid)" "$(stat -c %u "/proc/$pid")" "the host's uid"
expect_eq "$(property d0 State)" serving "state"
expect_eq "$(property d0 StateReason)" "" "its reason"
expect_eq "$(property d0 Name)" d0 "name"
expect_eq "$(property d0 Hba)" "$(basename "$(dirname "$place")")" "hba"
expect_eq "$(property d0 Subtype)" file "subtype"
expect_eq "$(property d0 Config)" file//scratch/d0.raw "config"
expect_eq "$(property d0 Size)" "$(blockdev --getsize64 "$disk")" "size"
expect_eq "$(property d0 BlockSize)" "$(blockdev --getss "$disk")" "block size"
serial=$(sed 's/^T10 VPD Unit Serial Number: //' "$place/wwn/vpd_unit_serial")
expect_eq "$(property d0 WWN)" "$serial" "unit serial"
uio=$(grep -l "/d0/file/" /sys/class/uio/uio*/name)
expect_eq "/sys/class/uio/uio$(property d0 UioMinor)/name" "$uio" "uio minor"
expect_eq "$(property d0 Restarts)" 0 "restarts"
expect_eq "$(property d0 ReadOnly)" false "read only"

moved() { # moved KIND: commands and bytes of that kind
  printf '%d %d\n' "$(property d0 Commands | jq ".$1")" "$(property d0 Bytes | jq ".$1")"
}
settled() { property_is d0 InFlight 0; }
for kind in read write; do
  wait_until 60 settled
  read -r commands bytes < <(moved "$kind")
  if [ "$kind" = read ]; then
    dd if="$disk" of=/dev/null bs=4k count=16 iflag=direct status=none
  else
    dd if=/dev/zero of="$disk" bs=4k count=16 oflag=direct status=none
  fi
  read -r commands_then bytes_then < <(moved "$kind")
  [ $((commands_then - commands)) -ge 16 ] || die "16 x $kind: counted $((commands_then - commands))"
  [ $((bytes_then - bytes)) -ge 65536 ] || die "64 KiB of $kind: counted $((bytes_then - bytes)) bytes"
done
# Of other kinds there may be some: newer kernels ask for pages and commands that a plain disk refuses.
expect_eq "$(property d0 Errors | jq '.read + .write')" 0 "errors of reads and writes"
[ "$(property d0 LatencyUsec | jq .max)" -gt 0 ] || die "no latency was measured"
# Each command that a host answered, or that was done by grant, waited before.
property d0 LatencyHistograms | jq -e '(.all | map(.[1]) | add) >= (.host | map(.[1]) | add) and (.host | length) > 0
  and (.wait | map(.[1]) | add) == (.host + .grant | map(.[1]) | add)' >/dev/null ||
  die "the parts of latencies do not fit: $(property d0 LatencyHistograms)"
sg_raw -r 512 "$disk" 28 00 ff ff ff f0 00 00 01 00 >/dev/null 2>&1 && die "a read past the end succeeded"
property d0 ErrorsBySense | jq -e '."illegal request" >= 1' >/dev/null || die "a refused read is not counted"

for subtype in "${subtypes[@]}"; do
  handler() { busctl --json=short get-property "$BUS_NAME" "$DEVICES/handlers/$subtype" "$BUS_NAME.Handler1" "$1" | jq -r .data; }
  expect_eq "$(handler Subtype)" "$subtype" "subtype of a handler"
  expect_eq "$(handler Problem)" "" "problem of $subtype"
  [ -f "$(handler Library)" ] || die "$subtype names the library $(handler Library), which is not there"
  expect_eq "$(busctl --json=short get-property "$BUS_NAME" "$HANDLERS/$subtype" "$BUS_NAME" ConfigDesc | jq -r .data)" \
    "$(handler ConfigDescription)" "the description of $subtype in both views"
done
manager() { busctl --json=short get-property "$BUS_NAME" "$DEVICES" "$BUS_NAME.Manager1" "$1" | jq -c .data; }
expect_eq "$(manager DeviceCount)" 1 "number of devices"
expect_eq "$(manager DevicesByState)" '{"serving":1}' "devices by state"
expect_eq "$(manager Version)" "\"$(tcmu-supervisor --version 2>&1 | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)\"" "version"

# ---- What docs/dbus.md shows

{
  printf '$ busctl list | grep TCMU\n'; busctl list --no-pager | grep TCMU
  printf '\n$ busctl tree %s\n' "$BUS_NAME"; busctl tree --no-pager "$BUS_NAME"
  printf '\n$ busctl introspect %s %s\n' "$BUS_NAME" "$HANDLERS/file"; busctl introspect --no-pager "$BUS_NAME" "$HANDLERS/file"
  printf '\n$ busctl introspect %s %s\n' "$BUS_NAME" "$object"; busctl introspect --no-pager "$BUS_NAME" "$object"
  printf '\n$ busctl introspect %s %s\n' "$BUS_NAME" "$DEVICES"; busctl introspect --no-pager "$BUS_NAME" "$DEVICES"
  printf '\n$ busctl get-property ... Commands\n'; busctl get-property "$BUS_NAME" "$object" "$DEVICE_INTERFACE" Commands
  for config in file//scratch/d0.raw file//scratch/none.raw 'file//scratch/d0.raw?colour=red'; do
    printf '\n$ busctl call %s %s %s CheckConfig s %s\n' "$BUS_NAME" "$HANDLERS/file" "$BUS_NAME" "$config"
    bus_call "$BUS_NAME" "$HANDLERS/file" "$BUS_NAME" CheckConfig s "$config"
  done
  printf '\n$ busctl call ... RegisterHandler ss file mine\n'
  bus_call "$BUS_NAME" "$HANDLERS/HandlerManager1" "$BUS_NAME.HandlerManager1" RegisterHandler ss file mine 2>&1
} >"$FILES/busctl.txt"
busctl monitor "$BUS_NAME" >"$FILES/monitor.txt" 2>&1 &

# ---- Signals

before=$(property d0 HostPid)
kill -9 "$before"
changed() { seen '.member == "PropertiesChanged" and .path == "'"$object"'" and (.payload.data[1] | '"$1"')'; }
wait_until 60 changed '.State.data == "recovering" and .LastExit.data == "killed by SIGKILL"'
wait_until 60 changed ".HostPid.data != $before and .HostPid.data > 0 and .Restarts.data == 1"
wait_until 60 property_is d0 State serving
wait_until 60 changed ".State.data == \"serving\" and .StateSince.data == $(property d0 StateSince)"
wait_until 60 seen '.member == "Event" and .payload.data[0] == "host-died" and .payload.data[1] == "'"$object"'"'
expect_eq "$(pgrep -f '^tcmu-host: file/d0')" "$(property d0 HostPid)" "the next host's pid"
# Counters are announced too, to whoever has just read.
dd if="$disk" of=/dev/null bs=4k count=4 iflag=direct status=none
wait_until 60 changed '.Commands.data.read > 0'

delete_lun d0
wait_until 60 seen '.member == "InterfacesRemoved" and .path == "/org/kernel/TCMUDevices1" and .payload.data[0] == "'"$object"'"'
expect_eq "$(manager DeviceCount)" 0 "number of devices after the last one"
! seen ".path == \"$HANDLERS\"" || die "targetcli was told of something"
stop_supervisor
