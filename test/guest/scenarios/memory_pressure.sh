#!/usr/bin/env bash
# Memory runs out while a file system on a LUN of this very machine has more to write than there is memory: what serves the LUN
# needs none to go on, also if a host dies then. All that was written comes back, and what the kernel ends for lack of memory is
# the program that ate it.
# boot: own
# memory: 512
# run: by-name
# timeout: 1500
# expect-kernel: invoked oom-killer|Out of memory: Killed process|oom-kill:|oom_reaper:|page allocation failure: order:0, mode:.*GFP_NOWAIT|Call Trace -- a program eats all memory on purpose, and TCMU answers what it can't queue with TASK SET FULL
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

# eat MIB: until the kernel ends it or it has seen all of it again; in a unit that the kernel ends first.
eat() {
  systemd-run --quiet --wait --collect -p OOMScoreAdjust=1000 -p OOMPolicy=continue \
    python3 /usr/lib/bulkhead-guest/helpers/eat_memory.py "$1"
}
# eat_on MIB: again and again until /run/fed is there; the rounds that the kernel ended are counted in /run/ended.
eat_on() {
  local ended=0
  until [ -e /run/fed ]; do
    eat "$1" || ended=$((ended + 1))
    echo "$ended" >/run/ended
  done
}
killed_for_memory() { journalctl -q -k --no-pager --after-cursor="$JOURNAL_CURSOR" | grep -oE 'Killed process [0-9]+ \([^)]*\)'; }
vmstat_of() { awk -v name="$1" '$1 == name { print $2 }' /proc/vmstat; }
written_over() { [ "$(vmstat_of pgpgout)" -gt "$1" ]; }

# fill FILE MIB: with what takes its whole room; prints its digest.
fill() { head -c "${2}M" /dev/urandom | tee "$1" | sha256sum; }

echo 1 >/proc/sys/vm/overcommit_memory # a program gets what it asks for, and the kernel sees later
start_supervisor
supervisor=$(main_pid)
make_backing /scratch/d0.raw 1G
create_lun file d0 1G /scratch/d0.raw
disk=$(loopback_lun d0)
within 120 mkfs.ext4 -q -E nodiscard "$disk"
mkdir -p /run/fs
mount "$disk" /run/fs
record "memory" "$(awk '$1 == "MemTotal:" { print int($2 / 1024) }' /proc/meminfo)" MiB

say "== a file larger than memory is written while a program eats what is left"
rm -f /run/fed /run/ended
eat_on 4000 &
eater=$!
fill /run/fs/first 600 >/run/first.sum
say "== and a host dies meanwhile"
before=$(vmstat_of pgpgout)
host=$(host_pid d0)
fill /run/fs/second 200 >/run/second.sum &
filler=$!
wait_until 200 written_over $((before + 50000)) || die "nothing is written back"
kill -9 "$host"
wait "$filler" || die "the file could not be written after a host's death"
within 300 sync -f /run/fs || die "what was written does not reach the disk"
touch /run/fed
wait "$eater"
host_is_not d0 "$host" || die "the host was not replaced"

say "== all of it comes back from the disk"
umount /run/fs
mount "$disk" /run/fs
for file in first second; do
  expect_eq "$(sha256sum </run/fs/$file)" "$(<"/run/$file.sum")" "digest of $file"
done
umount /run/fs
within 120 fsck.ext4 -fn "$disk" >"$FILES/fsck.txt" || die "the file system is damaged: $(cat "$FILES/fsck.txt")"

record "programs ended for lack of memory" "$(cat /run/ended)" programs
[ "$(cat /run/ended)" -gt 0 ] || die "memory never ran out"
killed_for_memory | tee "$FILES/killed.txt" | grep -q python3 || die "the kernel killed nobody for lack of memory"
! grep -v python3 "$FILES/killed.txt" || die "the kernel killed somebody else"
expect_eq "$(main_pid)" "$supervisor" "the supervisor"
expect_eq "$(property d0 State) $(property d0 Restarts)" "serving 1" "the LUN"
say "direct reclaim: $(vmstat_of allocstall_normal) stalls; replayed at the host's death: $(property d0 Replayed)"
delete_lun d0
expect_nothing_left
