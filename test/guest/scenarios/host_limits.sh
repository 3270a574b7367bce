#!/usr/bin/env bash
# What a host may use of the machine: its control group has limits, tcmu.conf sets them, the bus shows them. A host that takes
# memory without end dies of its own limit, LastExit says so, its LUN goes on and the LUN beside it notices nothing. Living hosts
# and their limits outlive the supervisor in every way that it ends: restart, SIGKILL, systemd executing itself anew, a restart
# of the unit that their groups belong to. tcmu.conf says on which processors a host runs, and how long it may take to start.
# run: by-name
# timeout: 900
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh
source /usr/lib/bulkhead-guest/helpers/load.sh

readonly HOSTS=/sys/fs/cgroup/system.slice/tcmu-hosts.service
limit_of() { cat "$HOSTS/host-$(uio_of "$1")/$2"; }
wall_of() { busctl --json=short get-property "$BUS_NAME" "$(device_object "$1")" org.kernel.TCMUService1.Device1 Sandbox |
  jq -r --arg wall "$2" '.data[$wall].data'; }

limits_hold() { # limits_hold NAME MEBIBYTES
  local group
  group=$HOSTS/host-$(uio_of "$1")
  expect_eq "$(cut -d: -f3 "/proc/$(host_pid "$1")/cgroup")" "${group#/sys/fs/cgroup}" "control group of $1"
  expect_eq "$(limit_of "$1" memory.max)" $(($2 << 20)) "memory.max of $1"
  expect_eq "$(limit_of "$1" memory.swap.max)" 0 "memory.swap.max of $1"
  expect_eq "$(limit_of "$1" memory.oom.group)" 1 "memory.oom.group of $1"
  expect_eq "$(limit_of "$1" pids.max)" 512 "pids.max of $1"
  expect_eq "$(limit_of "$1" cpu.weight)" 100 "cpu.weight of $1"
  expect_eq "$(wall_of "$1" memory-limit)" "on: $2 MiB" "what the bus says of it"
  expect_eq "$(wall_of "$1" process-limit)" "on: 512" "what the bus says of it"
  expect_eq "$(wall_of "$1" no-new-privileges)" on "what the bus says of it"
}

# survives WHAT COMMAND...: the same hosts go on under the same limits, below another supervisor or another systemd.
survives() {
  local what=$1 main pids
  shift
  say "== $what"
  main=$(main_pid)
  pids="$(host_pid d0) $(host_pid d1)"
  "$@"
  if [[ $what != *systemd* ]]; then
    another_main() { [ "$(main_pid)" != 0 ] && [ "$(main_pid)" != "$main" ]; }
    wait_until 60 another_main
  fi
  wait_until 60 bus_name_owned
  wait_state d0 serving
  wait_state d1 serving
  expect_eq "$(host_pid d0) $(host_pid d1)" "$pids" "hosts after: $what"
  limits_hold d0 96
  limits_hold d1 96
  load_flows d1 "$other"
}

eater() {
  local disk pid bystander
  say "== a host that takes memory without end"
  bystander=$(host_pid d1)
  create_lun null eater 16M '/?eat_memory_after=40'
  disk=$(loopback_lun eater)
  pid=$(host_pid eater)
  limits_hold eater 96
  # Each host serves 40 commands; these are more than three hosts can answer, and none of them is at fault.
  dd if="$disk" iflag=direct of=/dev/null bs=4096 count=130 status=none || die "a command was lost with a host"
  wait_until 30 host_is_not eater "$pid"
  wait_state eater serving
  property_matches eater LastExit '^killed for lack of memory \(memory.max 96M of its control group\)$' ||
    die "LastExit is: $(property eater LastExit)"
  wait_until 10 journal_has 'handler-host killed for lack of memory \(memory.max 96M of its control group\); [0-9]+ commands wait' ||
    die "the journal does not say of what it died"
  limits_hold eater 96
  expect_eq "$(host_pid d1)" "$bystander" "the other LUN's host"
  expect_eq "$(property d1 Restarts)" 0 "the other LUN's restarts"
  delete_lun eater
}

# Anybody may have a config string judged, so what judges it has limits too, and leaves nothing behind.
judging() {
  local check checker group
  say "== a host that judges a config string"
  tcmuctl check-config 'null//?check_delay_ms=3000' &
  check=$!
  wait_until 30 pgrep -f '^tcmu-host: null \(config check\)'
  checker=$(pgrep -o -f '^tcmu-host: null \(config check\)')
  group=/sys/fs/cgroup$(cut -d: -f3 "/proc/$checker/cgroup")
  [[ $group == "$HOSTS"/host-check-* ]] || die "it is in $group"
  expect_eq "$(cat "$group/memory.max") $(cat "$group/pids.max")" "$((256 << 20)) 512" "its limits"
  wait "$check" || die "the verdict is not that the string is right"
  [ ! -e "$group" ] || die "$group is left behind"
  tcmuctl check-config 'null//?check_delay_ms=3000' >"$FILES/broken.txt" 2>&1 &
  check=$!
  wait_until 30 pgrep -f '^tcmu-host: null \(config check\)'
  kill -SEGV "$(pgrep -o -f '^tcmu-host: null \(config check\)')"
  ! wait "$check" || die "a string is right although nobody judged it"
  wait_until 10 journal_has 'handler-host that judged a config string .*SIGSEGV' || die "the journal does not say that it died"
}

required() {
  say "== a wall that is required and is not there"
  configure 'host_memory_mebibytes = 96' 'required_walls = "memory-limit, moat"'
  kill -KILL "$(host_pid d0)"
  wait_state d0 failed
  property_matches d0 StateReason 'wall moat is required' ||
    die "StateReason is: $(property d0 StateReason)"
  expect_eq "$(property d1 State)" serving "the state of the LUN beside it, which has its host"
  ! tcmuctl check-config file//scratch/d0.raw >"$FILES/verdict.txt" 2>&1 || die "a check goes without a wall that is required"
  grep -q moat "$FILES/verdict.txt" || die "the verdict does not name the wall: $(cat "$FILES/verdict.txt")"
  configure 'host_memory_mebibytes = 96' 'required_walls = "memory-limit, process-limit, user, no-new-privileges"'
  wait_state d0 serving
}

# fresh_host: ends the host of d0 and waits for the next one.
fresh_host() {
  local pid
  pid=$(host_pid d0)
  kill -KILL "$pid"
  wait_until 60 host_is_not d0 "$pid"
  wait_state d0 serving
}

place() {
  say "== on which processors it runs"
  configure 'host_memory_mebibytes = 96' 'host_cpus = 1'
  fresh_host
  expect_eq "$(awk '$1 == "Cpus_allowed_list:" { print $2 }' "/proc/$(host_pid d0)/status")" 1 "processors of the host"
  expect_eq "$(wall_of d0 cpus)" "on: 1" "what the bus says of it"
  configure 'host_memory_mebibytes = 96' 'host_cpus = 4000'
  fresh_host
  [[ $(wall_of d0 cpus) == off:* ]] || die "processors that are not there: $(wall_of d0 cpus)"
  configure 'host_memory_mebibytes = 96'
  fresh_host
  expect_eq "$(awk '$1 == "Cpus_allowed_list:" { print $2 }' "/proc/$(host_pid d0)/status")" 0-1 "processors of the host"
  # systemd's own settings, for all hosts and for the supervisor.
  systemctl set-property --runtime tcmu-hosts.service AllowedCPUs=1
  expect_eq "$(awk '$1 == "Cpus_allowed_list:" { print $2 }' "/proc/$(host_pid d0)/status")" 1 "processors of all hosts"
  systemctl set-property --runtime "$SUPERVISOR" AllowedCPUs=0
  within 180 systemctl restart "$SUPERVISOR"
  wait_state d0 serving
  expect_eq "$(cat "/proc/$(main_pid)"/task/*/comm | grep -c '^pump-')" 1 "pumps on one processor"
}

# Longer than the ten seconds that a host has for its first word at least; open_seconds gives it more.
slow_start() {
  local program=/usr/lib/tcmu-bulkhead/tcmu-handler-host
  say "== a host that is slow to start"
  cp "$program" "$program.real"
  printf '#!/bin/sh\nsleep 14\nexec %s.real "$@"\n' "$program" >"$program.slow"
  chmod 755 "$program.slow"
  mount --bind "$program.slow" "$program"
  configure 'host_memory_mebibytes = 96' 'open_seconds = 5'
  kill -KILL "$(host_pid d0)"
  not_in_time() { property_matches d0 StateReason 'did not say hello in time'; }
  wait_until 90 not_in_time
  configure 'host_memory_mebibytes = 96' 'open_seconds = 60'
  wait_state d0 serving
  umount "$program"
  rm "$program.real" "$program.slow"
}

mkdir -p /etc/tcmu
printf 'host_memory_mebibytes = 96\n' >"$CONF"
start_supervisor
for lun in d0 d1; do
  make_backing "/scratch/$lun.raw" 64M
  create_lun file "$lun" 64M "/scratch/$lun.raw"
done
other=$(loopback_lun d1)
disk=$(loopback_lun d0)
load_start d1 "$other"
load_flows d1 "$other"
limits_hold d0 96
limits_hold d1 96
survives "systemctl restart" systemctl restart "$SUPERVISOR"
survives "SIGKILL" systemctl kill --kill-whom=main -s KILL "$SUPERVISOR"
survives "systemd executes itself anew" systemctl daemon-reexec
survives "restart after that" systemctl restart "$SUPERVISOR"
survives "systemd reloads" systemctl daemon-reload
survives "restart of the hosts' unit" systemctl restart tcmu-hosts.service
survives "SIGKILL after that" systemctl kill --kill-whom=main -s KILL "$SUPERVISOR"
eater
# A page cache larger than the limit is given back, not died of.
dd if="$disk" of=/dev/null bs=1M status=none
say "d0 has used at most $(limit_of d0 memory.peak 2>/dev/null || echo unknown) bytes, d1 $(limit_of d1 memory.peak 2>/dev/null || echo unknown)"
judging
required
place
slow_start
load_stop d1
expect_eq "$(property d1 Restarts)" 0 "restarts of the LUN under load"
for lun in d0 d1; do delete_lun "$lun"; done
expect_nothing_left
