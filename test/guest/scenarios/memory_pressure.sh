#!/usr/bin/env bash
# Memory runs out while this machine swaps to a LUN of its own: what serves the LUN needs none to go on, also if a host dies
# then. Everything swapped out comes back, and what the kernel ends for lack of memory is the program that ate it.
# boot: own
# memory: 512
# run: by-name
# timeout: 1500
# expect-kernel: invoked oom-killer|Out of memory: Killed process|oom-kill:|oom_reaper: -- a program eats all memory on purpose
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

# eat MIB SECONDS: in a unit that the kernel ends first.
eat() {
  within "$2" systemd-run --quiet --wait --collect -p OOMScoreAdjust=1000 -p OOMPolicy=continue \
    python3 /usr/lib/bulkhead-guest/helpers/eat_memory.py "$1"
}
swapped_over() { [ "$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)" -gt "$1" ]; }
killed_for_memory() { journalctl -q -k --no-pager --after-cursor="$JOURNAL_CURSOR" | grep -oE 'Killed process [0-9]+ \([^)]*\)'; }

start_supervisor
supervisor=$(main_pid)
make_backing /scratch/swap.raw 512M
create_lun file swap 512M /scratch/swap.raw
disk=$(loopback_lun swap)
within 60 mkswap -q "$disk"
swapon "$disk"

say "== more than there is, but not more than the swap holds"
before=$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)
eat 480 600 || die "what was swapped out did not come back"
swapped_over $((before + 10000)) || die "hardly anything was swapped out"
record "swapped out" $((($(awk '$1 == "pswpout" { print $2 }' /proc/vmstat) - before) / 256)) MiB

say "== and a host dies meanwhile"
before=$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)
host=$(host_pid swap)
eat 480 600 &
eater=$!
wait_until 200 swapped_over $((before + 5000)) || die "nothing is swapped out"
kill -9 "$host"
wait "$eater" || die "what was swapped out did not come back after a host's death"
host_is_not swap "$host" || die "the host was not replaced"
property_over swap Replayed 0 || say "no command was under way when the host died"

say "== more than there is at all"
! eat 4000 600 || die "eight times the memory there is was not too much"
killed_for_memory | tee "$FILES/killed.txt" | grep -q python3 || die "the kernel killed nobody for lack of memory"
! grep -v python3 "$FILES/killed.txt" || die "the kernel killed somebody else"
expect_eq "$(main_pid)" "$supervisor" "the supervisor"
expect_eq "$(property swap State) $(property swap Restarts)" "serving 1" "the LUN"
within 300 swapoff "$disk" || die "the swap can't be read back"
delete_lun swap
expect_nothing_left
