#!/usr/bin/env bash
# tcmuctl as an operator uses it: every command, JSON for programs, colours on a terminal and nowhere else, each exit status
# of its manual page. No privilege is needed to look.
# run: once
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

# Names may be anything in UTF-8.
export LC_ALL=C.UTF-8
ESCAPE=$'\e['
status_is() { # status_is STATUS COMMAND...: its output goes to /run/out and /run/err
  local wanted=$1 status=0
  shift
  "$@" >/run/out 2>/run/err || status=$?
  [ "$status" = "$wanted" ] || die "$* ended with $status, not $wanted: $(cat /run/out /run/err)"
}
says() { grep -qE -- "$1" /run/out || die "expected /$1/ in: $(cat /run/out)"; }
complains() { grep -qE -- "^tcmuctl: $1" /run/err || die "expected a complaint /$1/, got: $(cat /run/err)"; }
# in_terminal COLUMNS COMMAND: what a terminal of that width gets, without the carriage returns.
in_terminal() { TERM=xterm-256color script -qec "stty cols $1; $2" /dev/null </dev/null | tr -d '\r'; }

# ---- Nobody there

status_is 3 tcmuctl list
complains 'tcmu-supervisor is not running: start it with .systemctl start tcmu-supervisor'
status_is 3 tcmuctl show d0
status_is 3 env DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/no-such-bus tcmuctl list
complains 'no message bus'
status_is 2 tcmuctl
status_is 2 tcmuctl frobnicate
status_is 2 tcmuctl show
status_is 0 tcmuctl --help

start_supervisor
status_is 0 tcmuctl list
status_is 0 tcmuctl list --json
expect_eq "$(jq -c . /run/out)" "[]" "no device, as JSON"

make_backing /scratch/d0.raw 64M
make_backing '/scratch/ünd.raw' 32M
create_lun file d0 64M /scratch/d0.raw
# targetcli cuts a config string at the first letter that is not ASCII.
hand_device 1 d1 'dev_config=file//scratch/ünd.raw?ro=on' "dev_size=$((32 << 20))"
echo 1 >"$TARGET/core/user_1/d1/enable"
disk=$(loopback_lun d0)
start_load d0 "$disk"
wait_until 60 answered_over d0 200

# ---- list, handlers, show

status_is 0 as_nobody tcmuctl list
says '^DEVICE +HANDLER +STATE +SIZE +HOST +RESTARTS +IN FLIGHT +CONFIG$'
says "^user_[0-9]+/d0 +file +serving +64(\.0)? MiB +$(property d0 HostPid) +0 +[0-9]+ +file//scratch/d0.raw$"
says '^user_[0-9]+/d1 +file +serving .*file//scratch/ünd.raw\?ro=on$'
! grep -qF "$ESCAPE" /run/out || die "colours in a pipe"
key=$(basename "$(dirname "$(device_of d0)")")/d0
expect_eq "$(tcmuctl list --names | sort | head -n 1)" "$key" "tcmuctl list --names"

status_is 0 as_nobody tcmuctl list --json
wanted=$(grep -oP '<property name="\K[^"]+' /usr/share/dbus-1/interfaces/org.kernel.TCMUService1.Device1.xml | sort)
expect_eq "$(jq -r '.[0] | keys[]' /run/out | sort)" "$(sort <<<"$wanted"$'\n'device)" "keys of a device in JSON"
jq -e --arg key "$key" --argjson pid "$(property d0 HostPid)" '.[] | select(.device == $key) |
  .State == "serving" and .Size == 67108864 and .HostPid == $pid and .Commands.read > 0 and .ReadOnly == false' \
  /run/out >/dev/null || die "list --json has other values than the bus"
expect_eq "$(jq -c '[.[].Config] | sort' /run/out)" '["file//scratch/d0.raw","file//scratch/ünd.raw?ro=on"]' "configs"
expect_eq "$(tcmuctl show d1 --json | jq .ReadOnly)" true "ReadOnly of d1"

status_is 0 as_nobody tcmuctl handlers
says '^file +usable +/usr/lib/tcmu-bulkhead/handlers/handler_file.so +files and block devices$'
status_is 0 tcmuctl handlers --json
jq -e '.[] | select(.Subtype == "file") | .Problem == "" and (.ConfigDescription | length > 100)' /run/out >/dev/null ||
  die "handlers --json: $(cat /run/out)"

status_is 0 as_nobody tcmuctl show d0
says "^ +Device: $key$"
says '^ +State: serving$'
says '^ +Size: 64(\.0)? MiB \(67108864 bytes\), blocks of 512 bytes$'
says "^ +Host: pid $(property d0 HostPid), uid $(property d0 HostUid), since "
says "^ +Kernel device: /dev/uio$(property d0 UioMinor)$"
says '^ +Commands: .*read [0-9]+, write [0-9]+'
status_is 0 tcmuctl show d1
says '^ +Mode: read only, '
says '^ +Sandbox: .*memory-limit \([0-9]+ MiB\).*no-new-privileges.*process-limit \(512\)'
status_is 4 tcmuctl show d7
complains "no device 'd7'"
tcmuctl list >"$FILES/list.txt"
tcmuctl show d0 >"$FILES/show.txt"

# ---- audit: which walls stand is the kernel's affair; bus, table, JSON and status say the same

status=0
as_nobody tcmuctl audit --json >/run/audit.json || status=$?
expect_eq "$status" "$(jq 'if any(.[]; .lacks_walls) then 1 else 0 end' /run/audit.json)" "status of audit"
expect_eq "$(jq -c --arg key "$key" '.[] | select(.device == $key) | .Sandbox' /run/audit.json)" \
  "$(tcmuctl show d0 --json | jq -c .Sandbox)" "walls of d0"
status_is "$status" as_nobody tcmuctl audit
says '^DEVICE +HOST +USER +CAPS +NNP .* SECCOMP .* MEMORY +PROCS +CPU +IO$'
says "^$key +$(property d0 HostPid) +on +on +on "
! grep -qF "$ESCAPE" /run/out || die "colours in a pipe"
in_terminal 200 "tcmuctl audit; true" >/run/out
grep -qF "${ESCAPE}32mon" /run/out || die "what stands is not green on a terminal"
tcmuctl audit >"$FILES/audit.txt" || true

# ---- watch

status_is 0 as_nobody tcmuctl watch --count 3 --interval 0.5
! grep -qF "$ESCAPE" /run/out || die "watch sends escape sequences into a pipe"
expect_eq "$(grep -c '^DEVICE ' /run/out)" 3 "tables of watch --count 3"
# fio writes for a while and then reads all of it back to verify it, so one table may show reads or writes alone.
read_rates='' write_rates=''
both_rates() {
  tcmuctl watch --count 2 --interval 0.5 | grep "^$key " | sed -n '$p' >/run/rates
  awk '{ exit !($3 > 0) }' /run/rates && read_rates=seen
  awk '{ exit !($4 > 0) }' /run/rates && write_rates=seen
  [ "$read_rates$write_rates" = seenseen ]
}
wait_until 60 both_rates
in_terminal 200 "tcmuctl top -n 2 -i 0.3" >/run/out
expect_eq "$(grep -oF "${ESCAPE}2J" /run/out | wc -l)" 2 "screens of top -n 2"
grep -qF "${ESCAPE}32mserving" /run/out || die "serving is not green on a terminal"
in_terminal 200 "NO_COLOR=1 tcmuctl list" >/run/out
! grep -qF "$ESCAPE" /run/out || die "NO_COLOR has no effect"
in_terminal 200 "tcmuctl list" >/run/out
grep -qF "${ESCAPE}32mserving" /run/out || die "list has no colours on a terminal"
in_terminal 90 "NO_COLOR=1 tcmuctl list" >/run/out
[ "$(wc -L </run/out)" -le 90 ] || die "wider than the terminal: $(cat /run/out)"
stdbuf -oL tcmuctl watch --interval 0.2 >/run/watched & watching=$!
wait_until 60 grep -q '^DEVICE' /run/watched
kill -INT "$watching"
wait "$watching" || die "an interrupted watch ends with $?"

# ---- restart, hold, resume

pid=$(property d0 HostPid)
status_is 0 tcmuctl restart d0
wait_until 60 property_is d0 State serving
[ "$(property d0 HostPid)" != "$pid" ] || die "tcmuctl restart did not replace the host"
status_is 0 tcmuctl hold "$key"
expect_eq "$(property d0 State)" held "state"
status_is 0 tcmuctl list
says "^$key +file +held "
status_is 0 tcmuctl doctor
says "^notice +Device $key is held: its commands wait\.$"
status_is 0 tcmuctl resume d0
expect_eq "$(property d0 State)" serving "state"
for command in restart hold resume; do
  status_is 6 as_nobody tcmuctl "$command" d0
  complains "${command^} of $key is for root only"
  status_is 4 tcmuctl "$command" d7
done
stop_load d0

# ---- check-config

status_is 0 tcmuctl check-config file//scratch/d0.raw
expect_eq "$(cat /run/out)" success "verdict on a good string"
status_is 7 tcmuctl check-config file//scratch/none.raw
complains '.*/scratch/none.raw'
status_is 7 tcmuctl check-config 'file//scratch/d0.raw?colour=red'
complains '.*colour'
status_is 4 tcmuctl check-config nosuch/thing
complains "no handler 'nosuch'; there is .*file"
status_is 0 as_nobody tcmuctl check-config file//scratch/none.raw

# ---- Two of the same name, a failed one, a supervisor that does not answer

make_backing /scratch/twin.raw 16M
hand_device 77 d0 dev_config=file//scratch/twin.raw "dev_size=$((16 << 20))"
echo 1 >"$TARGET/core/user_77/d0/enable"
twin_serves() { tcmuctl show --json user_77/d0 | jq -e '.State == "serving"'; }
wait_until 60 twin_serves
status_is 5 tcmuctl show d0
complains "several devices are called 'd0', say which: $key, user_77/d0"
mv /scratch/twin.raw /scratch/away.raw
status_is 0 tcmuctl restart user_77/d0
twin_failed() { tcmuctl show --json user_77/d0 | jq -e '.HostPid == 0 and (.StateReason | contains("/scratch/twin.raw"))'; }
wait_until 60 twin_failed
status_is 1 tcmuctl hold user_77/d0
complains '.*/scratch/twin.raw'
doctor_names_it() { contains 'Device user_77/d0 is not served: .*/scratch/twin.raw' < <(tcmuctl doctor); }
wait_until 60 doctor_names_it
mv /scratch/away.raw /scratch/twin.raw
status_is 0 tcmuctl restart user_77/d0
wait_until 60 twin_serves
hand_remove "$TARGET/core/user_77/d0"

pid=$(main_pid)
kill -STOP "$pid"
status_is 9 tcmuctl list
status_is 8 tcmuctl doctor
says "The supervisor \(pid $pid\) does not answer within 5 s\."
kill -CONT "$pid"
status_is 0 tcmuctl list

# ---- What the shell completes

source /usr/share/bash-completion/completions/tcmuctl
COMP_WORDS=(tcmuctl restart d) COMP_CWORD=2
_tcmuctl
expect_eq "$(printf '%s\n' "${COMPREPLY[@]}" | sort | xargs)" "d0 d1" "completion of a device's name"
commands=$(tcmuctl --help | awk '/^Subcommands:/ { on = 1; next } on && /^  [a-z]/ { print $1 }' | tr ',' '\n' | sort)
COMP_WORDS=(tcmuctl '') COMP_CWORD=1
_tcmuctl
for command in $commands; do
  [[ " ${COMPREPLY[*]} " == *" $command "* ]] || die "the shell does not complete tcmuctl $command"
done

delete_lun d0
hand_remove "$TARGET/core/user_1/d1"
stop_supervisor
