# shellcheck shell=bash
# The storm: many LUNs under load that is checked block by block, while whatever serves them is killed at random; and beside
# them LUNs that nobody touches. Sourced after lib.sh.
#
# The load is tcmu-storm (test/storm), which knows of each block which versions a read may return, and fio --verify.

# shellcheck source=test/guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
# shellcheck source=test/guest/helpers/load.sh
source /usr/lib/bulkhead-guest/helpers/load.sh
# shellcheck source=test/guest/helpers/killer.sh
source /usr/lib/bulkhead-guest/helpers/killer.sh
# shellcheck source=test/guest/helpers/speed.sh
source /usr/lib/bulkhead-guest/helpers/speed.sh

readonly STORM=${STORM:-/usr/lib/tcmu-bulkhead/tcmu-storm}
STORM_LUNS=(s0 s1 s2 s3 s4 s5) # under tcmu-storm
FIO_LUNS=(f0 f1)               # under fio
CALM_LUNS=(c0 c1)              # bystanders
declare -A DISK=()

# storm_make SUBTYPE: all LUNs, from raw files. By hand: targetcli takes its time for ten of them.
storm_make() {
  local lun number=70 place config
  [ -x "$STORM" ] || die "there is no $STORM: tools/install --with-test-handlers puts it there"
  for lun in "${STORM_LUNS[@]}" "${FIO_LUNS[@]}" "${CALM_LUNS[@]}"; do
    config=$1/$(speed_backing "$lun" 64M "$number")
    # An HBA for each, as targetcli makes them.
    place=$(hand_device "$number" "$lun" "dev_config=$config" "dev_size=$((64 << 20))")
    expect_eq "$(enable_errno "$place")" 0 "enabling $lun"
    DISK[$lun]=$(hand_loopback "$lun")
    number=$((number + 1))
  done
}

storm_unmake() {
  local lun place
  for lun in "${!DISK[@]}"; do
    hand_unexport "$lun"
    place=$(device_of "$lun")
    hand_remove "$place"
  done
}

disks_of() { # disks_of LUN...: one a line
  local lun
  for lun; do printf '%s\n' "${DISK[$lun]}"; done
}

# checked_start NAME "LUN..." OPTION...: tcmu-storm on these, until checked_stop NAME. Returns once every block is written.
checked_start() {
  local name=$1 luns disks
  read -ra luns <<<"$2"
  mapfile -t disks < <(disks_of "${luns[@]}")
  "$STORM" --json "$FILES/$name.json" "${@:3}" "${disks[@]}" >"$FILES/$name.txt" 2>&1 &
  printf '%s\n' "$!" >"/run/load-$name.pid"
  begun_or_over() { grep -q 'the load begins' "$FILES/$1.txt" || load_over "$1"; }
  wait_until 120 begun_or_over "$name"
  load_running "$name" || die "tcmu-storm $name does not begin: $(head -c 400 "$FILES/$name.txt")"
}

# checked_end NAME: ends it; its status is what tcmu-storm says. 124: it does not end.
checked_end() {
  local pid
  pid=$(cat "/run/load-$1.pid")
  kill -TERM "$pid" 2>/dev/null || true
  if ! wait_until 150 load_over "$1"; then
    kill -9 "$pid" 2>/dev/null || true
    return 124
  fi
  wait "$pid"
}

checked_stop() { # checked_stop NAME: anything that is not as it should be fails the scenario
  checked_end "$1" || die "tcmu-storm $1: $(grep -m1 'tcmu-storm: ' "$FILES/$1.txt" | cut -c1-400) (all of it in $1.txt)"
}

loads_start() { # loads_start RATE [TCMU-STORM-OPTION...]: on all but the bystanders, so many operations a second each
  local lun
  checked_start storm "${STORM_LUNS[*]}" --rate "$1" --depth 8 --kib 256 --compare-and-write "${@:2}"
  for lun in "${FIO_LUNS[@]}"; do load_start "$lun" "${DISK[$lun]}" --rate_iops="$1,$1" --fsync=16; done
  for lun in "${FIO_LUNS[@]}"; do load_flows "$lun" "${DISK[$lun]}"; done
}

loads_stop() {
  local lun
  checked_stop storm
  for lun in "${FIO_LUNS[@]}"; do load_stop "$lun"; done
}

# One operation at a time, again and again: the longest pause is what a bystander notices.
bystanders_start() { checked_start "$1" "${CALM_LUNS[*]}" --rate 20 --depth 1 --kib 64 --longest-kib 4 "${@:2}"; }

# ---- What came of it

longest_of() { # longest_of NAME: milliseconds, of the slowest device of that run
  jq '[.devices[].longest_stall_ms] | max | round' "$FILES/$1.json"
}

# deaths_by_kind: "killed by SIGKILL", count and commands that waited, as the journal tells.
deaths_by_kind() {
  journalctl -q --no-pager -o cat --after-cursor="$JOURNAL_CURSOR" -u "$SUPERVISOR" |
    sed -nE 's/.*handler-host (.*); ([0-9]+) commands wait for the next one.*/\2\t\1/p' |
    awk -F'\t' '{ n[$2]++; w[$2] += $1 } END { for (k in n) printf "%s\t%d\t%d\n", k, n[k], w[k] }' | sort
}

# storm_table: as far as the loads have left reports.
storm_table() {
  local lun number=0
  say "| action | times |"
  say "|---|---|"
  actions_by_kind | awk -F'\t' '{ printf "| %s | %d |\n", $1, $2 }'
  say "| death of a host | times | commands in flight |"
  say "|---|---|---|"
  deaths_by_kind | awk -F'\t' '{ printf "| %s | %d | %d |\n", $1, $2, $3 }'
  say "| LUN | reads | writes | errors | violation | longest stall, ms | at (UTC) |"
  say "|---|---|---|---|---|---|---|"
  for lun in "${STORM_LUNS[@]}"; do
    if [ -s "$FILES/storm.json" ]; then
      jq -r --arg lun "$lun" --argjson n "$number" '.devices[$n] | "| \($lun) | \(.reads) | \(.writes) | \(.errors) | " +
        "\(if .violation != "" then "yes" elif .hung then "hangs" else "none" end) | " +
        "\(.longest_stall_ms | round) | \(.longest_stall_at) |"' "$FILES/storm.json"
    else
      say "| $lun | no report: tcmu-storm was killed |||||"
    fi
    number=$((number + 1))
  done
  [ ! -s "$FILES/storm.json" ] || jq -r '[.devices[].compare_and_write // empty] | if . == [] then empty else
    "COMPARE AND WRITE: \(map(.done) | add) done, \(map(.open) | add) answered so that it was open, " +
    "\(map(.open_and_happened) | add) of these had happened" end' "$FILES/storm.json" >"$FILES/caw.txt"
  for lun in "${FIO_LUNS[@]}"; do
    # Of a fio that was killed there is no report.
    jq -r --arg lun "$lun" '.jobs[0] | "| \($lun) (fio) | \(.read.total_ios) | \(.write.total_ios) | \(.error) | " +
      "| \([.read.clat_ns.max, .write.clat_ns.max] | max / 1e6 | round) | |"' "$FILES/$lun.json" 2>/dev/null ||
      say "| $lun (fio) | no report ||||||"
  done
  cat "$FILES/caw.txt" 2>/dev/null || true
}

# The kernel's own log must not know of an error that an initiator got.
no_error_in_the_kernel_log() {
  ! journalctl -q -k --no-pager --after-cursor="$JOURNAL_CURSOR" |
    grep -E 'I/O error|Sense Key|critical (target|medium|space allocation) error|timing out command' >&2 ||
    die "the kernel saw an I/O error"
}

all_serving() {
  local lun
  for lun in "${STORM_LUNS[@]}" "${FIO_LUNS[@]}" "${CALM_LUNS[@]}"; do
    property_is "$lun" State serving || return 1
  done
}

done_by_grant() { # by all LUNs together, since the supervisor's last start
  local lun
  for lun in "${STORM_LUNS[@]}" "${FIO_LUNS[@]}" "${CALM_LUNS[@]}"; do property "$lun" GrantedCommands; done |
    jq -s 'map(.read + .write + .flush) | add'
}

# Otherwise the storm has shown nothing of what becomes of a dead host's commands.
deaths_hit_commands() {
  [ "$(deaths_by_kind | awk -F'\t' '{ n += $3 } END { print n + 0 }')" -gt 0 ] || die "nothing was in flight at any death: no proof"
}

# storm_pass CALM STORM RATE: the whole of it for Bulkhead, in seconds of calm and of storm.
storm_pass() {
  local gap_before gap_during
  speed_settings
  start_supervisor
  storm_make file
  loads_start "$3"
  say "== calm, $1 s"
  bystanders_start calm --seconds "$1"
  wait_until $(($1 + 150)) load_over calm
  checked_stop calm
  say "== storm, $2 s"
  bystanders_start beside
  storm_rage "$2" "${STORM_ACTIONS[@]}"
  wait_until 90 bus_name_owned
  wait_until 120 all_serving || die "not every LUN is served after the storm: $(tcmuctl list)"
  checked_stop beside
  loads_stop
  storm_table | tee "$FILES/table.md"
  gap_before=$(longest_of calm)
  gap_during=$(longest_of beside)
  say "bystanders' longest pause: $gap_before ms in the calm, $gap_during ms in the storm"
  record "bystanders' longest pause, calm" "$gap_before" ms
  record "bystanders' longest pause, storm" "$gap_during" ms
  record "longest stall under tcmu-storm" "$(longest_of storm)" ms
  record "actions" "$(wc -l <"$FILES/actions.txt")" actions
  record "hosts' deaths" "$(deaths_by_kind | awk -F'\t' '{ n += $2 } END { print n + 0 }')" deaths
  DONE_BY_GRANT=$(done_by_grant)
  record "by grant since the supervisor's last start" "$DONE_BY_GRANT" commands
  record "commands in flight at deaths" "$(deaths_by_kind | awk -F'\t' '{ n += $3 } END { print n + 0 }')" commands
  no_error_in_the_kernel_log
  ! journal_has 'is answered with HARDWARE ERROR' || die "an innocent command was taken for poison"
  storm_unmake
  expect_nothing_left
  stop_supervisor
}
