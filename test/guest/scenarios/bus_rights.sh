#!/usr/bin/env bash
# Everyone may read, only root may change: as nobody, properties and tcmuctl list work, CheckConfig judges the string and
# opens nothing, everything else is refused, even where tcmu-runner's old policy file was left behind. As root, Restart
# replaces the host under load without an error, Hold makes I/O wait and Resume lets it go on.
# timeout: 600
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

OLD_POLICY=/etc/dbus-1/system.d/tcmu-runner.conf

start_supervisor
make_backing /scratch/d0.raw 64M
chmod 600 /scratch/d0.raw
create_lun file d0 64M /scratch/d0.raw
disk=$(loopback_lun d0)
object=$(device_object d0)

# ---- nobody reads

expect_eq "$(as_nobody busctl get-property "$BUS_NAME" "$object" "$DEVICE_INTERFACE" State)" 's "serving"' "State, for nobody"
as_nobody busctl get-property "$BUS_NAME" "$HANDLERS/file" "$BUS_NAME" ConfigDesc >/dev/null
for root in "$HANDLERS" "$DEVICES"; do
  as_nobody busctl call "$BUS_NAME" "$root" org.freedesktop.DBus.ObjectManager GetManagedObjects >/dev/null
done
as_nobody busctl tree --list "$BUS_NAME" | contains -x "$object" || die "nobody sees no $object in the tree"
as_nobody busctl introspect "$BUS_NAME" "$object" "$DEVICE_INTERFACE" >/dev/null
as_nobody tcmuctl list | contains ' serving ' || die "tcmuctl list shows nobody no serving device"
as_nobody tcmuctl show d0 >/dev/null

# Signals come to everyone who asks for them; to eavesdrop takes root, to subscribe does not.
as_nobody python3 - >/run/nobody-heard <<'PYTHON' &
import sys
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
def heard(_bus, _sender, _path, _interface, _signal, arguments):
    state = arguments.unpack()[1].get("State")
    if state:
        print(state, flush=True)
bus.signal_subscribe("org.kernel.TCMUService1", "org.freedesktop.DBus.Properties", "PropertiesChanged", None, None,
                     Gio.DBusSignalFlags.NONE, heard)
bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", None, None, Gio.DBusCallFlags.NONE, -1)
print("listening", flush=True)
GLib.MainLoop().run()
PYTHON
wait_until 60 grep -qx listening /run/nobody-heard

# ---- nobody's CheckConfig opens nothing, and its answer tells nothing about files

touch /scratch/plain.raw
truncate -s 1M /scratch/plain.raw
ln -s /etc/shadow /scratch/link.raw
nobodys() { as_nobody busctl --timeout="$(deadline 60)" call "$BUS_NAME" "$HANDLERS/file" "$BUS_NAME" CheckConfig s "file/$1"; }
strace -f -qq -e trace=%file -o /run/check.strace -p "$(main_pid)" &
tracer=$!
traced() { nobodys /scratch/plain.raw && [ -s /run/check.strace ]; }
wait_until 60 traced
answer=$(nobodys /scratch/plain.raw)
for path in /scratch/none.raw /scratch/d0.raw /scratch /scratch/link.raw /etc/shadow /root/.nothing/at/all; do
  expect_eq "$(nobodys "$path" | sed "s|$path|PATH|g")" "${answer//\/scratch\/plain.raw/PATH}" \
    "what nobody is told about $path"
done
expect_eq "$answer" 'bs true "success"' "what nobody is told about a string without mistakes"
[[ $(nobodys '/scratch/plain.raw?colour=red') == 'bs false "'*colour* ]] || die "a mistake in the string is not told to nobody"
[[ $(nobodys relative.raw) == 'bs false "'* ]] || die "a relative path is not refused"
touched() { grep -E '"(/scratch|/etc/shadow|/root)' /run/check.strace; }
! touched || die "nobody's CheckConfig touched a file"
# The same question from root does open it, so the trace would have shown it.
expect_eq "$(check_config file//scratch/plain.raw)" '[true,"success"]' "root's check of a file"
touched >/dev/null || die "root's CheckConfig opened nothing: the trace proves nothing"
[ "$(check_config file//scratch/none.raw | jq '.[0]')" = false ] || die "root's check does not miss a missing file"
kill "$tracer"
wait "$tracer" || true

# ---- nobody changes nothing

# busctl hides what the refusal says.
nobody_sends() { # nobody_sends DESTINATION OBJECT INTERFACE.MEMBER [ARGUMENT...]
  as_nobody dbus-send --system --print-reply --reply-timeout="$(deadline 60)000" --dest="$1" "${@:2}"
}
nobody_is_refused() { # nobody_is_refused DESTINATION PATTERN: who says no to registering, with what words
  local method
  # The supervisor itself, as there is no polkit.
  for method in Restart Hold Resume; do
    refused_as "AccessDenied: $method of .* is for root only" nobody_sends "$1" "$object" "$DEVICE_INTERFACE.$method"
  done
  refused_as "AccessDenied: .*$2" nobody_sends "$1" "$HANDLERS/HandlerManager1" \
    "$BUS_NAME.HandlerManager1.RegisterHandler" string:foo string:mine
  refused_as "AccessDenied: |PropertyReadOnly: " nobody_sends "$1" "$object" org.freedesktop.DBus.Properties.Set \
    "string:$DEVICE_INTERFACE" string:State variant:string:failed
  expect_eq "$(property d0 HostPid)" "$pid" "the host after refused calls"
  expect_eq "$(property d0 State)" serving "the state after refused calls"
  ! handler_shown foo || die "nobody has registered a handler"
}
unique=$(bus_daemon GetNameOwner s "$BUS_NAME" | cut -d'"' -f2)
pid=$(property d0 HostPid)
by_the_bus='Rejected send message'
by_us='only root may'
nobody_is_refused "$BUS_NAME" "$by_the_bus"
# By its unique name the service is no weaker.
nobody_is_refused "$unique" "$by_the_bus"
for name in "$BUS_NAME" "$BUS_NAME.HandlerManager1.foo" "$BUS_NAME.HandlerManager1.file"; do
  refused_as 'Access denied|not allowed to own' as_nobody \
    busctl call org.freedesktop.DBus / org.freedesktop.DBus RequestName su "$name" 4
done
expect_eq "$(status_of as_nobody tcmuctl restart d0)" 6 "exit status of nobody's tcmuctl restart"
expect_eq "$(status_of as_nobody tcmuctl hold d0)" 6 "exit status of nobody's tcmuctl hold"

# tcmu-runner's policy file, left behind by an upgrade, lets everybody through the bus. Then the supervisor itself refuses.
cat >"$OLD_POLICY" <<'XML'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy context="default">
    <allow send_destination="org.kernel.TCMUService1"/>
    <allow own_prefix="org.kernel.TCMUService1.HandlerManager1"/>
    <allow send_interface="org.kernel.TCMUService1"/>
  </policy>
</busconfig>
XML
bus_daemon ReloadConfig
nobody_may_own() {
  as_nobody busctl call org.freedesktop.DBus / org.freedesktop.DBus RequestName su "$BUS_NAME.HandlerManager1.foo" 4
}
wait_until 30 nobody_may_own
nobody_is_refused "$BUS_NAME" "$by_us"
rm "$OLD_POLICY"
bus_daemon ReloadConfig
nobody_may_not_own() { ! nobody_may_own; }
wait_until 30 nobody_may_not_own

# ---- root: Restart under load

start_load d0 "$disk"
wait_until 60 answered_over d0 200
pid=$(property d0 HostPid)
busctl --timeout="$(deadline 90)" call "$BUS_NAME" "$object" "$DEVICE_INTERFACE" Restart
wait_until 60 property_is d0 State serving
[ "$(property d0 HostPid)" != "$pid" ] || die "Restart did not replace the host"
! kill -0 "$pid" 2>/dev/null || die "the replaced host still runs"
expect_eq "$(property d0 Restarts)" 1 "restarts"
now=$(answered d0)
wait_until 60 answered_over d0 $((now + 200))
grep -qx serving /run/nobody-heard || die "nobody heard no signal of the restart"

# ---- root: Hold and Resume under load

bus_call "$BUS_NAME" "$object" "$DEVICE_INTERFACE" Hold
expect_eq "$(property d0 State)" held "state after Hold"
held_for() { property_over d0 OldestCommandUsec "$1"; }
wait_until 60 held_for 2000000
before=$(answered d0)
wait_until 60 held_for 3000000
expect_eq "$(answered d0)" "$before" "commands answered while held"
[ "$(property d0 InFlight)" -gt 0 ] || die "nothing waits while held"
bus_call "$BUS_NAME" "$object" "$DEVICE_INTERFACE" Resume
expect_eq "$(property d0 State)" serving "state after Resume"
wait_until 60 answered_over d0 $((before + 200))
stop_load d0
expect_eq "$(property d0 Errors | jq '.read + .write')" 0 "errors of reads and writes"
delete_lun d0
stop_supervisor
