#!/usr/bin/env bash
# Aborts and resets, as an initiator's error handler sends them. A command that only waits for another one is ended at once; one
# that the handler has ends when it answers; one whose host is stuck ends when the host is replaced, and is not replayed. Each is
# told in the journal in words and counted, and the LUN goes on working.
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/scsi.sh

block=$(mktemp)
head -c 512 /dev/zero >"$block"

# write_block DISK SECONDS: of block 0, so that each waits for the one before it. Given up after so many seconds.
write_block() { sg_raw -t "$2" -s 512 -i "$block" "$1" 2a 00 00 00 00 00 00 00 01 00 >>"$FILES/sg_raw.txt" 2>&1; }

in_flight_at_least() { [ "$(property "$1" InFlight)" -ge "$2" ]; }
works() {
  sg_turs -n 3 "$1" >/dev/null 2>&1 || true # takes the unit attention of a reset
  write_block "$1" 60 || die "the LUN does not work any more"
}

# One write is swallowed by the handler; another one of the same block waits for it inside the host until it is given up. The
# kernel does that after seven to thirteen seconds, whatever is asked for (BLK_MIN_SG_TIMEOUT, and a coarse timer): within the
# watchdog's patience with the first one, which is written after all when its host is replaced.
abort_of_one_that_waits() {
  local first
  while [ ! -e "$FILES/enough" ]; do write_block "$stuck" 60 || exit 1; done &
  first=$!
  wait_until 120 property_over stuck OldestCommandUsec 1000000
  touch "$FILES/enough"
  ! write_block "$stuck" 2 || die "a command that should have been given up was answered"
  property_over stuck Aborts 0 || die "no abort was counted"
  property_over stuck AbortedCommands 0 || die "no aborted command was counted"
  journal_has 'ABORT TASK for WRITE\(10\) LBA 0, 1 block \[2a 00 .*\], under way for [0-9.]+ s; ended, it had not reached the handler' ||
    die "the journal does not tell of the abort in words"
  expect_eq "$(property stuck Restarts)" 0 "restarts"
  kill -9 "$(property stuck HostPid)"
  wait_until 60 gone "$first" || die "the write that was under way did not end"
  wait "$first" || die "the write that was under way failed"
  property_over stuck Replayed 0 || die "the write that was under way was not replayed"
  wait_until 30 property_is stuck State serving
  works "$stuck"
}

# By the SCSI generic node: whoever closes a disk that was open for writing has udev read its partitions anew, and that
# read, behind all the writes, keeps everybody else from opening the disk.
reset_of_the_unit() {
  local writers=() generic i
  generic=/dev/$(ls "/sys/block/${slow##*/}/device/scsi_generic")
  # A second each, one behind the other: this many last until the reset is there, on a busy machine too, and
  # none waits as long as the kernel allows a command of TCMU (30 s).
  for ((i = 0; i < 25; i++)); do
    { write_block "$generic" 60 || true; } & # what becomes of it is the initiator's affair
    writers+=("$!")
  done
  wait_until 60 in_flight_at_least slow 8
  within 60 sg_reset -d "$generic" || die "the reset failed"
  property_over slow Resets 0 || die "no reset was counted"
  for i in "${writers[@]}"; do wait "$i"; done
  wait_until 60 property_is slow InFlight 0
  journal_has 'LOGICAL UNIT RESET for [0-9]+ commands?' || die "the journal does not tell of the reset in words"
  works "$slow"
}

# The handler has swallowed it: the kernel waits until the host is gone, and its error handler with it.
abort_of_one_that_hangs() {
  local reader pid aborts replayed
  pid=$(property stuck HostPid)
  aborts=$(property stuck Aborts)
  replayed=$(property stuck Replayed)
  # Read-only: udev reads a disk anew that was open for writing, and its command would hang as well.
  within 60 udevadm settle
  while sg_raw -R -t 3 -r 512 "$stuck" 28 00 00 00 00 07 00 00 01 00 >>"$FILES/sg_raw.txt" 2>&1; do :; done &
  reader=$!
  wait_until 60 property_over stuck Aborts "$aborts"
  wait_until 30 journal_has 'ABORT TASK for READ\(10\) LBA 7, 1 block .* under way for [0-9.]+ s; ends when the handler answers' ||
    die "the journal does not tell of the command that hangs"
  ! gone "$reader" || die "the abort ended though the host may still write the command's buffer"
  kill -9 "$pid"
  wait_until 20 gone "$reader" || die "the abort does not end with the host"
  expect_eq "$(property stuck Replayed)" "$replayed" "replayed commands"
  wait_until 30 property_is stuck State serving
  works "$stuck"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

start_supervisor
create_lun null slow 16M '/?delay_us=1000000'
slow=$(loopback_lun slow)
expect_eq "$(cat "$(device_of slow)/attrib/tmr_notification")" 1 "tmr_notification"
# udev reads a new disk, a second for each command, and between two of them none is in flight.
within 240 udevadm settle
wait_until 60 property_is slow InFlight 0
reset_of_the_unit
delete_lun slow

create_lun null stuck 16M '/?hang_after=100'
stuck=$(loopback_lun stuck)
wait_until 60 property_is stuck InFlight 0
within 60 udevadm settle
abort_of_one_that_waits
wait_until 60 property_is stuck InFlight 0
abort_of_one_that_hangs
tcmuctl show stuck | tee "$FILES/show.txt" | grep -E '^ +Aborts: [1-9]' || die "tcmuctl does not show the aborts"
delete_lun stuck
expect_nothing_left
