# shellcheck shell=bash
# Memory and descriptors over time. Sourced after devices.sh.

# How much more the last quarter may have than the second one: per cent, and a little on top, in the unit of the value.
readonly MARGIN_PERCENT=10 MARGIN_KIB=512 MARGIN_FDS=3
readonly SAMPLED=(supervisor-rss-kib supervisor-pss-kib supervisor-fds host-pss-kib host-fds supervisor-anonymous-kib supervisor-mappings)

memory_of() { awk -v f="$2:" '$1 == f { print $2 }' "/proc/$1/smaps_rollup" 2>/dev/null; } # memory_of PID FIELD
# own_memory PID FIELD: without the kernel's rings and data areas. Their pages count as soon as they were touched once: a ring's
# when it has come round, the data area's up to the most that was ever in flight.
own_memory() {
  awk -v f="$2:" '/^[0-9a-f]+-[0-9a-f]+ / { kernels = index($0, "/dev/uio") } $1 == f && !kernels { sum += $2 } END { print sum + 0 }' \
    "/proc/$1/smaps"
}
fds_of() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }

# sample: one line: seconds since the boot, then SAMPLED; of hosts the mean. A host that dies meanwhile is left out.
sample() {
  local main pid pss hosts=0 sum=0 fds=0
  main=$(main_pid)
  for pid in $(pgrep -f '^tcmu-host: '); do
    pss=$(memory_of "$pid" Pss) || continue
    [ -n "$pss" ] || continue
    hosts=$((hosts + 1)) sum=$((sum + pss)) fds=$((fds + $(fds_of "$pid")))
  done
  [ "$hosts" -gt 0 ] || return 0
  printf '%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n' "$(cut -d. -f1 /proc/uptime)" "$(own_memory "$main" Rss)" "$(own_memory "$main" Pss)" \
    "$(fds_of "$main")" $((sum / hosts)) $((fds / hosts)) "$(own_memory "$main" Anonymous)" "$(wc -l <"/proc/$main/maps")"
}

samples_start() {
  local every=${SOAK_SAMPLE_SECONDS:-60}
  : >"$FILES/samples.tsv"
  cat "/proc/$(main_pid)/smaps" >"$FILES/smaps-first.txt"
  # The interval is what a sample is taken at.
  while sample >>"$FILES/samples.tsv" 2>/dev/null || true; do sleep "$every"; done &
  SAMPLER=$!
}
samples_stop() {
  cat "/proc/$(main_pid)/smaps" >"$FILES/smaps-last.txt"
  kill "$SAMPLER" 2>/dev/null || true
  wait "$SAMPLER" 2>/dev/null || true
}

# quarter FILE COLUMN NUMBER: mean of that column in that quarter of the samples.
quarter() {
  awk -F'\t' -v c="$2" -v q="$3" '{ v[NR] = $c } END {
    for (i = int(NR * (q - 1) / 4) + 1; i <= int(NR * q / 4); i++) { sum += v[i]; n++ }
    if (n == 0) exit 1
    printf "%.1f\n", sum / n }' "$1"
}

samples_table() { # samples_table FILE: means by quarter
  local i q row
  say "| value | quarter 1 | 2 | 3 | 4 |"
  say "|---|---|---|---|---|"
  for ((i = 0; i < ${#SAMPLED[@]}; i++)); do
    row="| ${SAMPLED[i]} |"
    for q in 1 2 3 4; do row+=" $(quarter "$1" $((i + 2)) $q) |"; done
    say "$row"
  done
  say "$(wc -l <"$1") samples"
}

# samples_flat FILE: fails if the last quarter has more than the margin allows.
samples_flat() {
  local i second last margin
  for ((i = 0; i < ${#SAMPLED[@]}; i++)); do
    second=$(quarter "$1" $((i + 2)) 2)
    last=$(quarter "$1" $((i + 2)) 4)
    record "${SAMPLED[i]}, last quarter less second" "$(awk -v a="$last" -v b="$second" 'BEGIN { print a - b }')" ""
    case ${SAMPLED[i]} in *-fds | *-mappings) margin=$MARGIN_FDS ;; *) margin=$MARGIN_KIB ;; esac
    awk -v a="$last" -v b="$second" -v p=$MARGIN_PERCENT -v m="$margin" 'BEGIN { exit !(a <= b * (1 + p / 100) + m) }' ||
      die "${SAMPLED[i]} grows: $second in the second quarter, $last in the last"
  done
}
