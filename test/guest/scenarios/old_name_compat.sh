#!/usr/bin/env bash
# tcmu-runner's habits go on working: its unit's name, its configuration with its log file (changed in place, replaced by
# rename, rotated), and its lock, so that it and the supervisor never run at once, whichever comes second.
# peer: tcmu-runner
# timeout: 500
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/bus.sh

CONF=/etc/tcmu/tcmu.conf
LOG=/scratch/log/tcmu-runner.log
has() { grep -qE -- "$2" "$1"; }

# ---- The unit's name

systemctl enable "$SUPERVISOR"
within 180 systemctl start tcmu-runner.service
wait_until 60 bus_name_owned
systemctl --no-pager status tcmu-runner | contains 'Active: active (running)' || die "systemctl status tcmu-runner"
expect_eq "$(systemctl show --value -p MainPID tcmu-runner)" "$(name_owner_pid)" "main process of tcmu-runner.service"

# ---- Its configuration: an administrator's old file, read when it is changed

cat >"$CONF" <<'TEXT'
# The default logging level is 3
log_level = 5
log_dir = "/scratch/log"
# a key of old versions
some_old_option = 7
TEXT
wait_until 60 has "$LOG" "/etc/tcmu/tcmu.conf was read again"
expect_eq "$(stat -c %a "$LOG")" 600 "mode of the log file"
make_backing /scratch/d0.raw 32M
create_lun file d0 32M /scratch/d0.raw
disk=$(loopback_lun d0)
sg_inq "$disk" >/dev/null
# Level 5 shows every CDB, in tcmu-runner's line: time, pid, [LEVEL], function:line, subtype/device.
wait_until 60 has "$LOG" '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{12} [0-9]+ \[DEBUG_SCSI_CMD\] [a-z_]+:[0-9]+ file/d0: .*12 0[01]'
wait_until 60 journal_has 'line 5: unknown key "some_old_option": ignored'

# Replaced by rename, as editors and configuration management do; tcmu-runner missed that.
lines() { wc -l <"$LOG"; }
printf 'log_level = 1\nlog_dir = "/scratch/log"\n' >/etc/tcmu/new
mv /etc/tcmu/new "$CONF"
quiet() { # nothing more about commands, although there are some
  local before
  before=$(lines)
  sg_inq "$disk" && sg_turs "$disk" && [ "$(lines)" = "$before" ]
}
wait_until 60 quiet
# Commented out: back to the default, which is no file and level 3.
printf '#log_level = 5\nlog_dir = "/scratch/elsewhere"\n' >"$CONF"
wait_until 60 test -e /scratch/elsewhere/tcmu-runner.log
before=$(lines)
pid=$(property d0 HostPid)
kill -9 "$pid"
wait_until 60 has /scratch/elsewhere/tcmu-runner.log 'killed by SIGKILL'
expect_eq "$(lines)" "$before" "lines of the old log file"

# ---- Rotation

mv /scratch/elsewhere/tcmu-runner.log /scratch/elsewhere/tcmu-runner.log.1
postrotate=$(sed -n '/postrotate/,/endscript/p' /etc/logrotate.d/tcmu-supervisor | sed '1d;$d')
bash -c "$postrotate"
wait_until 60 test -e /scratch/elsewhere/tcmu-runner.log
kill -9 "$(property d0 HostPid)"
wait_until 60 has /scratch/elsewhere/tcmu-runner.log 'killed by SIGKILL'
mv /scratch/elsewhere/tcmu-runner.log /scratch/elsewhere/tcmu-runner.log.2
systemctl reload tcmu-runner
wait_until 60 test -e /scratch/elsewhere/tcmu-runner.log

# A log that can't be written costs nothing but a message.
printf 'log_dir = "/proc/no/such"\n' >"$CONF"
wait_until 60 journal_has '/proc/no/such/tcmu-runner.log: .*; the log goes on without this file'
dd if="$disk" of=/dev/null bs=1M count=4 iflag=direct status=none
delete_lun d0

# ---- The lock: the one that comes second says so and ends

printf '' >"$CONF"
first=$(main_pid)
status=0
LD_LIBRARY_PATH=/opt/tcmu-runner/usr/lib/x86_64-linux-gnu within 60 /opt/tcmu-runner/usr/bin/tcmu-runner \
  --handler-path /run --tcmu-log-dir /scratch/peer-log >/run/peer.out 2>&1 || status=$?
expect_eq "$status" 1 "exit status of tcmu-runner beside the supervisor"
cat /run/peer.out /scratch/peer-log/tcmu-runner.log 2>/dev/null | contains "already running" ||
  die "tcmu-runner ended for another reason: $(cat /run/peer.out)"
expect_eq "$(main_pid)" "$first" "the supervisor beside tcmu-runner"
expect_eq "$(name_owner_pid)" "$first" "owner of the name beside tcmu-runner"

stop_supervisor
start_peer_runner qcow
runner=$(name_owner_pid)
status=0
tcmu-supervisor >/run/second.out 2>/run/second.err || status=$?
expect_eq "$status" 1 "exit status of the supervisor beside tcmu-runner"
grep -q "a TCMU daemon runs already: tcmu-runner (pid $runner) holds /run/tcmu.lock; stop it first" /run/second.err ||
  die "the supervisor ended for another reason: $(cat /run/second.err)"
expect_eq "$(name_owner_pid)" "$runner" "owner of the name"
within 60 targetcli ls /backstores | contains user:qcow || die "tcmu-runner was disturbed"
stop_peer_runner

# The old command line, as units and scripts of administrators have it.
status=0
tcmu-supervisor --version >/run/out 2>&1 || status=$?
say "--version: $status, $(cat /run/out)"
systemd-run --quiet --collect --unit=by-hand /usr/bin/tcmu-supervisor --debug --tcmu-log-dir /scratch/third --nofile 65536
wait_until 60 bus_name_owned
wait_until 60 test -e /scratch/third/tcmu-runner.log
systemctl stop by-hand
