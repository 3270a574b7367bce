#!/usr/bin/env bash
# A handler-host as everybody else sees it: its name in ps and top, exactly the descriptors it needs, process group, control
# group, user, no privileges. And its deaths: by signals, by exit, stopped and killed. Each is told in the journal with how, the
# LUN goes on with a fresh host. A command that kills three hosts is answered HARDWARE ERROR, and the LUN goes on.
# run: by-name
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/load.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

status_field() { awk -v f="$2:" '$1 == f { $1 = ""; print substr($0, 2) }' "/proc/$1/status" | tr '\t' ' '; }

# open_files PID: what its descriptors are, sorted, one a line; numbers of pipes and sockets are nobody's business.
open_files() {
  local fd
  for fd in /proc/"$1"/fd/*; do readlink "$fd"; done | sed -E 's/:\[[0-9]+\]$//' | sort
}

names() {
  local pid=$1 shown
  shown=$(ps -o args= -p "$pid")
  [[ $shown == 'tcmu-host: file/d0'* ]] || die "ps shows \"$shown\""
  expect_eq "$(ps -o comm= -p "$pid")" tcmu:file/d0 "the command name"
  top -b -n 1 -w 200 -p "$pid" | grep -q 'tcmu:file/d0' || die "top does not show the name"
  top -b -n 1 -w 200 -c -p "$pid" | grep -q 'tcmu-host: file/d0' || die "top -c does not show the name"
  expect_eq "$(pgrep -f '^tcmu-host: file/d0')" "$pid" "what pgrep finds by the visible name"
}

descriptors() {
  local pid=$1 wanted
  # Standard input and output, standard error to the supervisor, control socket; the loop's epoll and its own eventfd; the
  # file; its io_uring; doorbells: a pipe to it, an eventfd from it. The channel's memory is mapped, not held open.
  wanted=$(printf '%s\n' /dev/null /dev/null pipe socket 'anon_inode:[eventpoll]' 'anon_inode:[eventfd]' /scratch/d0.raw \
    'anon_inode:[io_uring]' pipe 'anon_inode:[eventfd]' | sort)
  expect_eq "$(open_files "$pid")" "$wanted" "open descriptors"
  expect_eq "$(awk '/memfd:tcmu-/ { print $2, $6 }' "/proc/$pid/maps" | sort -k2)" \
    "$(printf '%s\n' 'rw-s /memfd:tcmu-completions' 'rw-s /memfd:tcmu-data' 'r--s /memfd:tcmu-requests')" "mappings of the channel"
  ! grep -q uio "/proc/$pid/maps" || die "the kernel's ring is mapped in a host"
  # And nobody else inherits anything of it.
  expect_eq "$(writers_of /scratch/d0.raw)" "$pid" "processes that can write to the file"
}

standing() {
  local pid=$1 uid set
  uid=$(property d0 HostUid)
  [ "$uid" -gt 65535 ] || die "HostUid is $uid"
  expect_eq "$(status_field "$pid" Uid)" "$uid $uid $uid $uid" "user"
  expect_eq "$(status_field "$pid" Gid)" "$uid $uid $uid $uid" "group"
  expect_eq "$(status_field "$pid" Groups | xargs)" "" "supplementary groups"
  [ "$(status_field "$(host_pid d1)" Uid)" != "$(status_field "$pid" Uid)" ] || die "two hosts have one user"
  for set in CapInh CapPrm CapEff CapBnd CapAmb; do
    expect_eq "$(status_field "$pid" $set)" 0000000000000000 "$set"
  done
  expect_eq "$(status_field "$pid" NoNewPrivs)" 1 "no_new_privs"
  expect_eq "$(stat -c %u "/proc/$pid/environ")" 0 "owner of its /proc files, which is root's as it is not dumpable"
  expect_eq "$(tr -d '\0' <"/proc/$pid/environ" | wc -c)" 0 "bytes of environment"
  expect_eq "$(awk '/Max core file size/ { print $5 }' "/proc/$pid/limits")" 0 "core file limit"
  expect_eq "$(cat "/proc/$pid/oom_score_adj") $(cat "/proc/$(main_pid)/oom_score_adj")" "0 -900" "oom_score_adj, its and the supervisor's"
  expect_eq "$(ps -o pgid= -p "$pid" | xargs)" "$pid" "process group"
  expect_eq "$(ps -o ppid= -p "$pid" | xargs)" "$(main_pid)" "parent"
  expect_eq "$(cut -d: -f3 "/proc/$pid/cgroup")" "/system.slice/tcmu-hosts.service/host-$(uio_of d0)" "control group"
  expect_eq "$(cat "/sys/fs/cgroup/system.slice/tcmu-hosts.service/host-$(uio_of d0)/cgroup.procs")" "$pid" "processes of that group"
  expect_eq "$(cut -d: -f3 "/proc/$(main_pid)/cgroup")" "/system.slice/$SUPERVISOR" "the supervisor's control group"
  expect_eq "$(property d0 HostPid)" "$pid" "HostPid on the bus"
}

# died_as HOW PATTERN: the host of d0 has just been ended; the journal and the bus say how, and the LUN goes on.
died_as() {
  local pid=$1 pattern=$2
  wait_until 60 host_is_not d0 "$pid"
  wait_state d0 serving
  property_matches d0 LastExit "^$pattern\$" || die "LastExit is: $(property d0 LastExit)"
  wait_until 10 journal_has "handler-host $pattern; [0-9]+ commands wait for the next one" ||
    die "the journal does not say how the host ended: $pattern"
  expect_eq "$(journalctl -q --no-pager -o json --after-cursor="$JOURNAL_CURSOR" -u "$SUPERVISOR" |
    jq -r --arg pid "$pid" 'select(.HOST_PID == $pid and (.MESSAGE | test("commands wait for the next one"))) | .DEVICE' |
    tail -n 1)" "$(property d0 Hba)/d0" "the journal's field DEVICE"
  load_flows d0 "$disk"
}

deaths() {
  local pid signal restarts=0
  for signal in SEGV ABRT KILL TERM BUS; do
    pid=$(host_pid d0)
    kill "-$signal" "$pid"
    died_as "$pid" "killed by SIG$signal"
    restarts=$((restarts + 1))
    expect_eq "$(property d0 Restarts)" $restarts "Restarts"
  done
  say "== stopped, then killed"
  pid=$(host_pid d0)
  kill -STOP "$pid"
  stopped() { status_field "$1" State | grep -q '^T'; }
  wait_until 10 stopped "$pid"
  # The others do not notice that it does not answer.
  dd if="$other" iflag=direct of=/dev/null bs=64k count=16 status=none || die "the other LUN suffers"
  kill -KILL "$pid"
  died_as "$pid" "killed by SIGKILL"
  expect_eq "$(host_pid d1)" "$1" "the other LUN's host"
}

# supervisor_keeps: of root's power, in each of its threads; and its own filter has not been in its way.
supervisor_keeps() {
  local task set
  for task in /proc/"$(main_pid)"/task/*; do
    # CAP_NET_ADMIN, DAC_OVERRIDE, KILL, SYS_PTRACE, SYS_ADMIN, SETUID, SETGID, SETPCAP
    for set in CapPrm CapEff CapBnd; do
      expect_eq "$(awk -v f="$set:" '$1 == f { print $2 }' "$task/status")" 00000000002811e2 "$set of thread $(cat "$task/comm")"
    done
    for set in CapInh CapAmb; do
      expect_eq "$(awk -v f="$set:" '$1 == f { print $2 }' "$task/status")" 0000000000000000 "$set of thread $(cat "$task/comm")"
    done
    expect_eq "$(awk '$1 == "Seccomp:" { print $2 }' "$task/status")" 2 "whether thread $(cat "$task/comm") is filtered"
  done
  ! journal_has 'Function not implemented' || die "its filter refuses what the supervisor does"
}

# What null is asked to do it says on its standard error before it does it.
crashing_handler() {
  local disk pid
  say "== a handler that aborts"
  create_lun null crash 16M '/?crash_after=40'
  disk=$(loopback_lun crash)
  pid=$(host_pid crash)
  # Each host serves 40 commands; these are more than three hosts can answer, and none of them is at fault.
  dd if="$disk" iflag=direct of=/dev/null bs=4096 count=130 status=none || die "a command was lost with a host"
  wait_until 30 host_is_not crash "$pid"
  property_matches crash LastExit '^killed by SIGABRT$' || die "LastExit is: $(property crash LastExit)"
  wait_until 10 journal_has 'handler-host on its standard error: null: aborting, as option crash_after asks' ||
    die "the last words of a host are not in the journal"
  delete_lun crash
}

poison() {
  local disk restarts began
  say "== a command that kills whoever carries it out"
  create_lun null poison 16M '/?crash_lba=1000'
  disk=$(loopback_lun poison)
  restarts=$(property poison Restarts)
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 "$(lba10 999)" 00 00 01 00)" good "the block before"
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 "$(lba10 1000)" 00 00 01 00)" \
    "hardware error / internal target failure" "the poisonous command"
  expect_eq $(($(property poison Restarts) - restarts)) 3 "hosts that it cost"
  wait_until 10 journal_has 'command 28 00 00 00 03 e8 00 00 01 00 ended 3 hosts and is answered with HARDWARE ERROR' ||
    die "the journal does not show the command"
  wait_state poison serving
  expect_eq "$(scsi_sense "$disk" -r 512 28 00 "$(lba10 1001)" 00 00 01 00)" good "the block behind, afterwards"
  property_matches poison ErrorsBySense '"hardware error":1[,}]' || die "counted as: $(property poison ErrorsBySense)"
  # With innocent ones in flight beside it, and for each of those no error.
  began=$(property poison Restarts)
  fio --name=innocent --filename="$disk" --rw=randread --bs=4k --size=256k --iodepth=8 --ioengine=libaio --direct=1 --time_based \
    --runtime="$(deadline 4)" --output-format=json --output="$FILES/innocent.json" >/dev/null &
  load_flows_here() { disk_moves "$disk"; }
  wait_until 30 load_flows_here
  expect_eq "$(scsi_sense "$disk" -s 512 -i /dev/zero 2a 00 "$(lba10 1000)" 00 00 01 00)" \
    "hardware error / internal target failure" "the poisonous command among others"
  wait "$!" || die "an innocent command failed"
  expect_eq "$(jq '.jobs[0].error + .jobs[0].total_err' "$FILES/innocent.json")" 0 "errors of innocent commands"
  [ $(($(property poison Restarts) - began)) -le 4 ] || die "it cost $(($(property poison Restarts) - began)) hosts"
  delete_lun poison
}

start_supervisor
for lun in d0 d1; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
done
disk=$(loopback_lun d0)
other=$(loopback_lun d1)
names "$(host_pid d0)"
descriptors "$(host_pid d0)"
standing "$(host_pid d0)"
load_start d0 "$disk"
load_flows d0 "$disk"
deaths "$(host_pid d1)"
load_stop d0
# A fresh host is no worse than the first one.
descriptors "$(host_pid d0)"
standing "$(host_pid d0)"
crashing_handler
poison
supervisor_keeps
for lun in d0 d1; do delete_lun "$lun"; done
expect_nothing_left
