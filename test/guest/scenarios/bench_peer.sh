#!/usr/bin/env bash
# Bulkhead's file handler beside tcmu-runner's qcow on the same raw file and the kernel's fileio, in one boot: fio jobs in
# interleaved rounds, medians, ratios. Prints a table; asserts nothing about speed.
# run: by-name
# boot: own
# peer: tcmu-runner
# timeout: 1500
source /usr/lib/bulkhead-guest/lib.sh

ROUNDS=3
SECONDS_EACH=4
mkdir -p /ram && mount -t tmpfs -o size=400M none /ram
dd if=/dev/urandom of=/ram/disk.raw bs=1M count=256 status=none

measure() { # measure WHO DISK: one line per job in /run/results
  local job options
  while read -r job options; do
    # shellcheck disable=SC2086
    fio --name=x --filename="$2" --direct=1 --ioengine=libaio --time_based --runtime=$SECONDS_EACH --ramp_time=1 \
      $options --output-format=json --output=/run/fio.json >/dev/null
    printf '%s\t%s\t%s\n' "$job" "$1" "$(jq '.jobs[0] | .read.iops + .write.iops' /run/fio.json)" >>/run/results
  done <<'JOBS'
4k-randread-qd1 --rw=randread --bs=4k --iodepth=1
4k-randread-qd16 --rw=randread --bs=4k --iodepth=16
4k-randwrite-qd1 --rw=randwrite --bs=4k --iodepth=1
4k-randwrite-qd16 --rw=randwrite --bs=4k --iodepth=16
128k-read-qd8 --rw=read --bs=128k --iodepth=8
128k-write-qd8 --rw=write --bs=128k --iodepth=8
JOBS
}

for ((round = 1; round <= ROUNDS; round++)); do
  start_supervisor
  create_lun file b0 256M /ram/disk.raw
  disk=$(loopback_lun b0)
  measure bulkhead "$disk"
  clear_targets
  stop_supervisor

  start_peer_runner qcow
  create_lun qcow b0 256M /ram/disk.raw
  disk=$(loopback_lun b0)
  measure tcmu-runner "$disk"
  clear_targets
  stop_peer_runner

  targetcli_run /backstores/fileio create name=b0 file_or_dev=/ram/disk.raw write_back=false
  disk=$(loopback_lun b0)
  measure fileio "$disk"
  clear_targets
done

cp /run/results "$FILES/results.tsv"
python3 - /run/results <<'PY' | tee "$FILES/table.md"
import collections, statistics, sys
runs = collections.defaultdict(list)
for line in open(sys.argv[1]):
    job, who, iops = line.rstrip("\n").split("\t")
    runs[job, who].append(float(iops))
jobs = list(dict.fromkeys(job for job, _ in runs))
print("| work | tcmu-runner | fileio | Bulkhead | Bulkhead / tcmu-runner |\n|---|---|---|---|---|")
for job in jobs:
    mid = {who: statistics.median(runs[job, who]) for who in ("tcmu-runner", "fileio", "bulkhead")}
    print(f"| {job} | {mid['tcmu-runner']:.0f} | {mid['fileio']:.0f} | {mid['bulkhead']:.0f} "
          f"| {mid['bulkhead'] / mid['tcmu-runner']:.2f} |")
PY
