#!/usr/bin/env bash
# The same fio jobs on Bulkhead's file handler, tcmu-runner's qcow on the same raw file, the kernel's fileio, and a kernel disk
# that does nothing (the ceiling: what the loopback fabric itself costs), in interleaved rounds of one boot. Writes down IOPS,
# latency, and what the daemons took of the processor and of memory; asserts nothing about speed. bench/guest/report.py makes
# the tables.
# run: by-name
# boot: own
# peer: tcmu-runner
# timeout: 3600
source /usr/lib/bulkhead-guest/lib.sh

readonly ROUNDS=${BENCH_ROUNDS:-3} SECONDS_EACH=${BENCH_SECONDS:-4} LUNS=${BENCH_LUNS:-16}
# Whom to measure; "bulkhead+KEY=VALUE" is Bulkhead with that line in tcmu.conf, "bulkhead?KEY=VALUE" with that in the config string;
# both: first the one with "?".
read -ra WHO_ALL <<<"${BENCH_WHO:-bulkhead bulkhead+io_grants=off tcmu-runner fileio ceiling}"
readonly ONLY=${BENCH_WORK:-.} # a regular expression: which jobs
readonly PLACE=${BENCH_PLACE:-memory} # of the files: or disk, an ext4 whose pages are dropped from memory before each job
readonly RESULTS=$FILES/results.tsv

units_of() { # units_of WHO: whose control groups count as the daemon
  case $1 in
    bulkhead*) echo "$SUPERVISOR tcmu-hosts.service" ;;
    tcmu-runner) echo "$PEER" ;;
  esac
}

cpu_usec() { # of all processes of these units, and of those that have ended
  local unit sum=0
  for unit; do sum=$((sum + $(awk '$1 == "usage_usec" { print $2 }' "/sys/fs/cgroup/system.slice/$unit/cpu.stat"))); done
  echo "$sum"
}

pss_kib() { # of all processes of these units
  local unit pid
  for unit; do
    while read -r pid; do awk '$1 == "Pss:" { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null || true; done \
      < <(find "/sys/fs/cgroup/system.slice/$unit" -name cgroup.procs -exec cat {} +)
  done | awk '{ sum += $1 } END { print sum + 0 }'
}

note() { printf '%s\t%s\t%s\t%s\t%s\n' "$ROUND" "$1" "$2" "$3" "$4" >>"$RESULTS"; } # who, work, what, value

run_fio() { # run_fio WHO WORK FIO-OPTION...
  local who=$1 work=$2 units before after
  shift 2
  read -ra units <<<"$(units_of "$who")"
  before=$(cpu_usec "${units[@]}")
  fio --direct=1 --ioengine=libaio --time_based --runtime="$SECONDS_EACH" --group_reporting --lat_percentiles=1 --randseed="$ROUND" \
    "$@" --output-format=json --output=/run/fio.json >/dev/null
  after=$(cpu_usec "${units[@]}")
  jq -r '.jobs[0] as $job | [$job.read, $job.write] as $both
    | ($both | map(.total_ios) | add) as $ios | (if $job.read.total_ios > 0 then $job.read else $job.write end) as $one
    | "iops \($both | map(.iops) | add)\nbytes \($both | map(.bw_bytes) | add)\nios \($ios)",
      "p50_us \($one.lat_ns.percentile["50.000000"] / 1000)\np99_us \($one.lat_ns.percentile["99.000000"] / 1000)"' \
    /run/fio.json >/run/fio.facts
  local what value ios=0
  while read -r what value; do
    [ "$what" = ios ] && ios=$value && continue
    note "$who" "$work" "$what" "$value"
  done </run/fio.facts
  [ "${#units[@]}" -eq 0 ] || note "$who" "$work" cpu_us_per_command "$(jq -n "($after - $before) / ($ios + 1)")"
}

forget_pages() { # what of the files is in memory, unless that is where they are
  [ "$PLACE" = memory ] || { sync && echo 3 >/proc/sys/vm/drop_caches; }
}

one_lun() { # one_lun WHO DISK
  local work options
  while read -r work options; do
    [[ $work =~ $ONLY ]] || continue
    forget_pages
    # shellcheck disable=SC2086
    run_fio "$1" "$work" $options --name=x --filename="$2"
  done <<'JOBS'
4k-randread-qd1 --rw=randread --bs=4k --iodepth=1
4k-randwrite-qd1 --rw=randwrite --bs=4k --iodepth=1
4k-randread-qd16 --rw=randread --bs=4k --iodepth=16
4k-randwrite-qd16 --rw=randwrite --bs=4k --iodepth=16
4k-randrw-qd32 --rw=randrw --bs=4k --iodepth=32
128k-read-qd8 --rw=read --bs=128k --iodepth=8
128k-write-qd8 --rw=write --bs=128k --iodepth=8
1m-read-qd4 --rw=read --bs=1m --iodepth=4
4k-write-fsync --rw=randwrite --bs=4k --iodepth=1 --fsync=1
JOBS
}

create() { # create WHO NAME SIZE: over NAME.raw
  local file=$FOLDER/$2.raw option=''
  [[ $1 != *\?* ]] || option="?${1#*\?}"
  case $1 in
    bulkhead*) create_lun file "$2" "$3" "$file${option%%+*}" ;;
    tcmu-runner) create_lun qcow "$2" "$3" "$file" ;;
    fileio) targetcli_run /backstores/fileio create name="$2" file_or_dev="$file" write_back=false ;;
    ceiling) targetcli_run /backstores/ramdisk create name="$2" size="$3" nullio=true ;;
  esac
}

start() {
  : >/etc/tcmu/tcmu.conf
  case $1 in
    bulkhead*)
      [[ $1 != *+* ]] || printf '%s\n' "${1#*+}" >/etc/tcmu/tcmu.conf
      start_supervisor
      ;;
    tcmu-runner) start_peer_runner qcow ;;
  esac
}

stop() {
  case $1 in
    bulkhead*) stop_supervisor ;;
    tcmu-runner) stop_peer_runner ;;
  esac
}

many_luns() { # many_luns WHO: all at once, one command each
  local i disks=() units
  for ((i = 0; i < LUNS; i++)); do
    create "$1" "m$i" 8M
    disks+=("--name=m$i" "--filename=$(loopback_lun "m$i")")
  done
  forget_pages
  run_fio "$1" "4k-randread-$LUNS-luns" --rw=randread --bs=4k --iodepth=1 "${disks[@]}"
  read -ra units <<<"$(units_of "$1")"
  [ "${#units[@]}" -eq 0 ] || note "$1" "$LUNS luns" pss_kib "$(pss_kib "${units[@]}")"
}

case $PLACE in
  memory)
    FOLDER=/ram
    mkdir -p /ram && mount -t tmpfs -o size=700M none /ram
    ;;
  disk) FOLDER=/scratch ;;
  *) die "BENCH_PLACE=$PLACE is neither memory nor disk" ;;
esac
dd if=/dev/urandom of=$FOLDER/b0.raw bs=1M count=256 status=none
for ((i = 0; i < LUNS; i++)); do dd if=/dev/urandom of="$FOLDER/m$i.raw" bs=1M count=8 status=none; done

for ((ROUND = 1; ROUND <= ROUNDS; ROUND++)); do
  for who in "${WHO_ALL[@]}"; do
    say "== round $ROUND: $who"
    start "$who"
    create "$who" b0 256M
    disk=$(loopback_lun b0)
    read -ra units <<<"$(units_of "$who")"
    [ "${#units[@]}" -eq 0 ] || note "$who" "1 lun" pss_kib "$(pss_kib "${units[@]}")"
    one_lun "$who" "$disk"
    # The daemons have settled by then, and once is enough for what takes so long to make.
    if [ "$ROUND" -eq "$ROUNDS" ] && [[ $LUNS-luns =~ $ONLY ]]; then many_luns "$who"; fi
    clear_targets
    stop "$who"
  done
done
