#!/usr/bin/env bash
# A handler that is a process of its own: it registers, unmodified targetcli shows it, CheckConfig is handed on to it (one
# that never answers holds up nobody else), and it goes with its process. Its LUN is its own business: the supervisor
# neither answers the kernel's netlink event nor opens the uio device. An installed handler can't be replaced.
# timeout: 600
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

HELPERS=/usr/lib/bulkhead-guest/helpers
noted() { grep -qF -- "$2" "/run/$1.log"; } # noted LOG TEXT
targetcli_shows() { within 120 targetcli ls /backstores 2>/dev/null | contains "user:$1"; }
no_such_object() { ! busctl introspect "$BUS_NAME" "$1" | contains org.kernel; }

start_supervisor
! targetcli_shows foo || die "user:foo is there before its process"
"$HELPERS/external_handler.py" foo /run/foo.log &
handler=$!
wait_until 60 noted foo "registered (True, 'succeeded')"

# ---- Seen

expect_eq "$(busctl get-property "$BUS_NAME" "$HANDLERS/foo" "$BUS_NAME" ConfigDesc)" 's "what foo wants"' "ConfigDesc"
owner=$(bus_daemon GetNameOwner s "$BUS_NAME.HandlerManager1.foo")
expect_eq "$(busctl get-property "$BUS_NAME" "$DEVICES/handlers/foo" "$BUS_NAME.Handler1" BusName)" "$owner" "BusName"
targetcli_shows foo || die "targetcli does not show user:foo"
targetcli_shows file || die "targetcli does not show user:file any more"
tcmuctl handlers | contains -E '^foo +usable +process :' || die "tcmuctl handlers does not show foo"

# ---- Asked

expect_eq "$(check_config foo/good)" '[true,"OK"]' "what foo's process says, handed on"
expect_eq "$(check_config foo/bad)" '[false,"nothing is called foo/bad"]' "what foo's process says, handed on"
noted foo "asked foo/good" || die "the process was not asked with the prefix"
expect_eq "$(as_nobody busctl call "$BUS_NAME" "$HANDLERS/foo" "$BUS_NAME" CheckConfig s foo/good)" 'bs true "OK"' "for nobody"

# One that says nothing: its client hears so just before its own patience ends; everybody else is answered meanwhile.
began=$SECONDS
busctl --timeout=120 call "$BUS_NAME" "$HANDLERS/foo" "$BUS_NAME" CheckConfig s foo/mute >/run/mute.answer 2>&1 &
mute=$!
wait_until 60 noted foo "asked foo/mute"
make_backing /scratch/d0.raw 32M
expect_eq "$(check_config file//scratch/d0.raw)" '[true,"success"]' "another handler's check meanwhile"
expect_eq "$(check_config foo/good)" '[true,"OK"]' "foo's other answers meanwhile"
as_nobody tcmuctl list >/dev/null
kill -0 "$mute" 2>/dev/null || die "the mute check was over before the others were made: no proof"
wait "$mute"
took=$((SECONDS - began))
grep -q '^bs false "' /run/mute.answer || die "the mute check was answered $(cat /run/mute.answer)"
[[ $took -ge 20 && $took -lt 25 ]] || die "the mute check took $took s; a client of tcmu-runner waits 25"
record "mute external handler given up after" "$took" s

# ---- Its LUN

"$HELPERS/tcm_user_responder.py" foo /run/responder.log /run/gate &
responder=$!
wait_until 60 noted responder listening
strace -f -qq -yy -e trace=%file,%network -o /run/supervisor.strace -p "$(main_pid)" &
tracer=$!
traced() { bus_call "$BUS_NAME" "$DEVICES" org.freedesktop.DBus.Peer Ping && [ -s /run/supervisor.strace ]; }
wait_until 60 traced
within 300 targetcli /backstores/user:foo create name=f0 size=16M cfgstring=good >/run/create.log 2>&1 &
create=$!
wait_until 60 noted responder "added tcm-user/"
# The supervisor has the events in the same order: once it serves a later device it has seen this one.
hand_device 77 d0 dev_config=file//scratch/d0.raw "dev_size=$((32 << 20))"
echo 1 >"$TARGET/core/user_77/d0/enable"
wait_until 60 property_is d0 State serving
kill -0 "$create" 2>/dev/null || die "somebody answered for foo: $(cat /run/create.log)"
touch /run/gate
wait "$create" || die "targetcli created no user:foo: $(cat /run/create.log)"
device_enabled f0 || die "the kernel has no device f0: $(cat /run/create.log)"
uio=$(sed -n 's/^opened //p' /run/responder.log)
[ -n "$uio" ] || die "foo's daemon could not open its uio device: somebody else has it"
targetcli_shows foo

# What the supervisor did meanwhile: a reply and a uio device for d0, neither for f0.
serves() { tcmuctl list --names; }
expect_eq "$(serves)" user_77/d0 "devices of the supervisor"
! grep -F "/dev/$uio\"" /run/supervisor.strace || die "the supervisor looked at foo's /dev/$uio"
others=$(grep -cE 'openat\(.*"/dev/uio[0-9]+"' /run/supervisor.strace || true)
[ "$others" -ge 1 ] || die "the trace shows no opening of d0's uio device: it proves nothing"
replies=$(grep -cE '(sendto|sendmsg|send)\([0-9]+<(NETLINK|socket).*NETLINK|sendto\([0-9]+<NETLINK' /run/supervisor.strace || true)
expect_eq "$replies" 1 "netlink messages of the supervisor, for d0 and f0 together"

within 120 targetcli /backstores/user:foo delete f0 >&2 || die "foo's device can't be removed"
wait_until 60 noted responder "answered removed tcm-user/"
! device_of f0 >/dev/null || die "f0 is still there"
kill "$tracer"
wait "$tracer" || true
kill "$responder"
wait "$responder" || true
hand_remove "$TARGET/core/user_77/d0"

# ---- What it may not do

"$HELPERS/external_handler.py" file /run/file.log &
usurper=$!
wait_until 60 noted file "registered (False, "
noted file "there is a handler 'file' already" || die "the refusal does not say why: $(cat /run/file.log)"
expect_eq "$(check_config file//scratch/d0.raw)" '[true,"success"]' "who judges for file"
! noted file "asked" || die "the usurper was asked"
kill -9 "$usurper"
wait "$usurper" || true
# Root, but not the owner of foo's name.
register() { # register SUBTYPE: from a connection that owns no name
  busctl --json=short call "$BUS_NAME" "$HANDLERS/HandlerManager1" "$BUS_NAME.HandlerManager1" RegisterHandler ss "$1" mine |
    jq -r '.data | join(": ")'
}
expect_eq "$(register foo)" "false: $BUS_NAME.HandlerManager1.foo is owned by another connection than the caller's" "foo"
expect_eq "$(register bar)" "false: Cannot find handler bus name: $BUS_NAME.HandlerManager1.bar" "bar, which nobody owns"
expect_eq "$(register no/path)" "false: failed to watch for DBus handler name" "what can be no name"

# ---- Gone with its process, back with the next one

vanished() { ! handler_shown foo; }
kill -9 "$handler"
wait "$handler" || true
wait_until 60 vanished
wait_until 60 no_such_object "$DEVICES/handlers/foo"
handler_shown file || die "file has gone as well"
! targetcli_shows foo || die "targetcli still shows user:foo"
"$HELPERS/external_handler.py" foo /run/foo2.log &
again=$!
wait_until 60 noted foo2 "registered (True, 'succeeded')"
handler_shown foo || die "foo is not back"
kill "$again"
wait "$again" || true
wait_until 60 vanished
stop_supervisor
