# shellcheck shell=bash
# Who kills in a storm: one thing at random every 0.2 to 2 s, written down with its time. Sourced by storm.sh.
#
# With the same STORM_SEED the same things are done in the same order; what they hit depends on the machine.

STORM_SEED=${STORM_SEED:-$((SRANDOM % 32768))}
# For Bulkhead. Some are likelier than others.
# shellcheck disable=SC2034
STORM_ACTIONS=(host-kill host-kill host-kill host-segv host-abort host-term host-stop host-stop host-group-kill host-oom
  device-restart supervisor-kill supervisor-restart)
WAKERS=()

noted() { printf '%s\t%s\t%s\n' "$(date -u +%T.%3N)" "$1" "$2" >>"$FILES/actions.txt"; } # noted KIND WHAT
actions_by_kind() { cut -f2 "$FILES/actions.txt" | sort | uniq -c | awk '{ printf "%s\t%d\n", $2, $1 }'; }

# Its length is what matters here, not what happens meanwhile: the storm is made of times.
pause_ms() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

# shuffled WORD...: into SHUFFLED. Not in a subshell: that would draw from a copy of the sequence.
shuffled() {
  local i j word
  SHUFFLED=("$@")
  for ((i = $# - 1; i > 0; i--)); do
    j=$((RANDOM % (i + 1)))
    word=${SHUFFLED[i]} SHUFFLED[i]=${SHUFFLED[j]} SHUFFLED[j]=$word
  done
}

# storm_rage SECONDS ACTION...: returns when it is over, or the load is, and everybody who was stopped goes on.
storm_rage() {
  local ends=$((SECONDS + $1)) action pause dealt=0
  shift
  RANDOM=$STORM_SEED
  say "seed $STORM_SEED"
  : >"$FILES/actions.txt"
  while [ "$SECONDS" -lt "$ends" ]; do
    # Dealt like cards, so that a short storm has every kind as well.
    [ $((dealt % $#)) != 0 ] || shuffled "$@"
    action=${SHUFFLED[dealt % $#]}
    dealt=$((dealt + 1))
    "act_${action//-/_}" || noted "$action" "missed"
    pause=$((${STORM_PAUSE_MIN:-200} + RANDOM % (${STORM_PAUSE_MAX:-2000} - ${STORM_PAUSE_MIN:-200})))
    pause_ms "$pause"
    load_running storm || break # what it has found is told by whoever stops it
  done
  [ ${#WAKERS[@]} = 0 ] || wait "${WAKERS[@]}"
}

# victim: draws a LUN that is no bystander, into VICTIM, and its host's pid, into VICTIM_PID; fails if it has no host now.
victim() {
  local luns=("${STORM_LUNS[@]}" "${FIO_LUNS[@]}")
  VICTIM=${luns[RANDOM % ${#luns[@]}]}
  VICTIM_PID=$(host_pid "$VICTIM")
}

signal_victim() { # signal_victim ACTION SIGNAL
  victim || return 1
  kill "-$2" "$VICTIM_PID" 2>/dev/null || return 1
  noted "$1" "$VICTIM, pid $VICTIM_PID"
}

act_host_kill() { signal_victim host-kill KILL; }
act_host_segv() { signal_victim host-segv SEGV; }
act_host_abort() { signal_victim host-abort ABRT; }
act_host_term() { signal_victim host-term TERM; }

act_host_stop() {
  local length=$((1000 + RANDOM % 2000)) pid
  signal_victim host-stop STOP || return 1
  pid=$VICTIM_PID
  # By then it may be gone.
  { pause_ms "$length" && kill -CONT "$pid" 2>/dev/null || true; } &
  WAKERS+=("$!")
}

readonly HOSTS_GROUP=/sys/fs/cgroup/system.slice/tcmu-hosts.service
group_of() { printf '%s/host-%s\n' "$HOSTS_GROUP" "$(uio_of "$1")"; }

act_host_group_kill() {
  victim || return 1
  echo 1 >"$(group_of "$VICTIM")/cgroup.kill" 2>/dev/null || return 1
  noted host-group-kill "$VICTIM, pid $VICTIM_PID"
}

act_host_oom() {
  victim || return 1
  echo 4096 >"$(group_of "$VICTIM")/memory.max" 2>/dev/null || true # told EBUSY when even killing was not enough at once
  noted host-oom "$VICTIM, pid $VICTIM_PID"
}

act_device_restart() {
  local luns=("${STORM_LUNS[@]}" "${FIO_LUNS[@]}")
  VICTIM=${luns[RANDOM % ${#luns[@]}]}
  within 30 tcmuctl restart "$VICTIM" >/dev/null 2>&1 || return 1
  noted device-restart "$VICTIM"
}

act_supervisor_kill() {
  within 30 systemctl kill --kill-whom=main -s KILL "$SUPERVISOR" 2>/dev/null || return 1
  noted supervisor-kill "$SUPERVISOR"
}

act_supervisor_restart() {
  noted supervisor-restart "$SUPERVISOR"
  within 90 systemctl restart "$SUPERVISOR" || die "systemctl restart does not end"
}
