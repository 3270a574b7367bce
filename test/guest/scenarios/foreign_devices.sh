#!/usr/bin/env bash
# Devices that are not ours are left alone: no reply, not opened, no object. Devices made while our daemon was away are taken
# over, their initiators wait for it. Devices that vanish while they are being opened, thirty times, and two under one HBA
# of which one goes while the other comes, leave nothing behind and nobody hanging.
# timeout: 600
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

readonly MIB=$((1 << 20))
readonly RESPONDER=/usr/lib/bulkhead-guest/helpers/tcm_user_responder.py

# uio_users UIO: processes that have it open.
uio_users() { fuser "/dev/$1" 2>/dev/null | xargs || true; }

not_waiting_for_anybody() {
  local place uio
  say "== a foreign subtype that wants no reply"
  place=$(hand_device 1 alien dev_config=alien/x "dev_size=$MIB" nl_reply_supported=-1)
  expect_eq "$(enable_errno "$place")" 0 "enabling a device that waits for nobody"
  uio=$(uio_of alien)
  # Something of ours after it: all its events have been read by then.
  create_lun file d0 64M /scratch/d0.raw
  expect_eq "$(uio_users "$uio")" "" "processes that have $uio open"
  no_object alien || die "a foreign device has an object"
  no_host alien || die "a foreign device has a host"
  ! tcmuctl list | grep -w alien || die "tcmuctl list shows a foreign device"
  hand_remove "$place"
}

# Its own daemon answers, late. Ours, which heard the same event, must not have answered before.
waiting_for_its_daemon() {
  local place answer=/run/alien-answer
  say "== a foreign subtype whose own daemon is slow"
  rm -f /run/gate /run/alien.log "$answer"
  "$RESPONDER" alien /run/alien.log /run/gate &
  wait_until 30 grep -q listening /run/alien.log
  place=$(hand_device 1 alien dev_config=alien/y "dev_size=$MIB")
  enable_errno "$place" >"$answer" &
  wait_until 30 grep -q '^added' /run/alien.log
  # Ours are made and removed meanwhile.
  create_lun file d1 64M /scratch/d1.raw
  delete_lun d1
  [ ! -s "$answer" ] || die "somebody else answered for the foreign daemon: $(cat "$answer")"
  touch /run/gate
  wait_until 30 test -s "$answer" || die "the foreign daemon's answer does not count"
  expect_eq "$(cat "$answer")" 0 "enabling with the foreign daemon's answer"
  # It could open the device, so nobody else had.
  grep -q '^opened' /run/alien.log || die "the foreign daemon could not open its device"
  no_object alien || die "a foreign device has an object"
  # Not even a resync touches it.
  within 180 systemctl restart "$SUPERVISOR"
  wait_state d0 serving
  no_object alien || die "a foreign device has an object after a restart"
  hand_remove "$place"
  grep -q '^answered removed' /run/alien.log || die "the removal was answered by somebody else: $(cat /run/alien.log)"
  delete_lun d0
}

uio_event_seen() { [ "$(cat "/sys/class/uio/$1/event")" -gt 0 ]; } # uio_event_seen UIO

# nl_reply_supported=-1, so that it can be made although nobody answers.
made_while_we_were_away() {
  local place disk
  say "== made while the daemon was stopped"
  stop_supervisor
  head -c $MIB /dev/urandom >/scratch/away.raw
  truncate -s 64M /scratch/away.raw
  place=$(hand_device 1 away dev_config=file//scratch/away.raw "dev_size=$((64 * MIB))" nl_reply_supported=-1)
  expect_eq "$(enable_errno "$place")" 0 "enabling without a daemon"
  # The initiator looks at the LUN now, finds nobody, and must find it all the same. Its first command is in the ring when
  # the uio device counts an event; its folder in configfs is locked until it has looked.
  hand_loopback away >/run/away-disk &
  wait_until 30 uio_event_seen "$(uio_of away)"
  start_supervisor
  wait_state away serving
  wait "$!" || die "the initiator never got its disk"
  disk=$(cat /run/away-disk)
  [ "$(dd if="$disk" iflag=direct bs=1M count=1 status=none | sha256sum)" = "$(head -c $MIB /scratch/away.raw | sha256sum)" ] ||
    die "the disk has other bytes than the file"

  say "== in use while the daemon was stopped"
  stop_supervisor
  dd if=/dev/urandom of="$disk" oflag=direct bs=64k count=32 status=none 2>"$FILES/dd-away.txt" &
  start_supervisor
  wait "$!" || die "the initiator's write, begun without a daemon, failed: $(cat "$FILES/dd-away.txt")"
  hand_unexport away
  hand_remove "$place"

  say "== the kernel still waits for somebody's reply, as the daemon did not say good-bye"
  kill_for_good
  place=$(hand_device 1 late dev_config=file//scratch/away.raw "dev_size=$((64 * MIB))")
  enable_errno "$place" >/run/late-answer &
  wait_until 30 uio_of late
  start_again
  wait_until 60 test -s /run/late-answer || die "a creation begun without a daemon hangs"
  expect_eq "$(cat /run/late-answer)" 0 "the creation begun without a daemon"
  wait_state late serving
  hand_remove "$place"
  kill_for_good
  place=$(hand_device 1 late dev_config=file//scratch/none.raw "dev_size=$((64 * MIB))")
  enable_errno "$place" >/run/late-answer2 &
  wait_until 30 uio_of late
  start_again
  wait_until 60 test -s /run/late-answer2 || die "a bad creation begun without a daemon hangs"
  expect_eq "$(cat /run/late-answer2)" ENOENT "the bad creation begun without a daemon"
  hand_remove "$place"
  expect_nothing_left
}

# The host takes 300 ms to open; the device is gone long before, in ever different moments.
vanishing() {
  local i place
  say "== created and deleted thirty times while it is being opened"
  for ((i = 0; i < 30; i++)); do
    place=$(hand_device 1 fly "dev_config=null/?open_delay_ms=300" "dev_size=$MIB" nl_reply_supported=-1)
    echo 1 >"$place/enable"
    [ $((i % 3)) = 0 ] || wait_until 20 has_object fly
    [ $((i % 3)) != 2 ] || wait_until 20 has_host fly
    hand_remove "$place"
  done
  expect_nothing_left
  say "== the same with replies: each creation waits, and each removal comes at once after it"
  for ((i = 0; i < 10; i++)); do
    place=$(hand_device 1 fly "dev_config=null/?open_delay_ms=100" "dev_size=$MIB")
    echo 1 >"$place/enable"
    hand_remove "$place"
  done
  expect_nothing_left
  # A name that comes back while its last owner is still being opened is the new one.
  place=$(hand_device 1 fly "dev_config=null/?open_delay_ms=1000" "dev_size=$MIB" nl_reply_supported=-1)
  echo 1 >"$place/enable"
  wait_until 20 has_host fly
  hand_remove "$place"
  place=$(hand_device 1 fly dev_config=file//scratch/d0.raw "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$place")" 0 "creating it again under the same name"
  wait_state fly serving
  expect_eq "$(property fly Config)" file//scratch/d0.raw "the configuration of the second one"
  hand_remove "$place"
  expect_nothing_left
}

# The kernel holds the directory of the HBA while it waits for our reply to a removal.
under_one_hba() {
  local i low one two
  say "== two devices under one HBA, one leaves while the other comes"
  for ((i = 0; i < 5; i++)); do
    # So that the second finds a lower uio number than the first's: the kernel gives away the number of a device that leaves a
    # moment before its name in sysfs is gone, and fails the one that gets it (uio_unregister_device, Linux 6.12).
    low=$(hand_device 7 low dev_config=null/ "dev_size=$MIB")
    expect_eq "$(enable_errno "$low")" 0 "enabling one before"
    one=$(hand_device 7 one "dev_config=null/?open_delay_ms=200" "dev_size=$MIB" nl_reply_supported=$((i % 2 - 1)))
    two=$(hand_device 7 two "dev_config=null/?open_delay_ms=200" "dev_size=$MIB" nl_reply_supported=$((i % 2 - 1)))
    expect_eq "$(enable_errno "$one")" 0 "enabling the first"
    hand_remove "$low"
    enable_errno "$two" >"/run/two-$i" &
    hand_remove "$one"
    wait_until 60 test -s "/run/two-$i" || die "the second one hangs"
    expect_eq "$(cat "/run/two-$i")" 0 "enabling the second"
    wait_state two serving
    hand_remove "$two"
  done
  expect_nothing_left
}

make_backing /scratch/d0.raw 64M
make_backing /scratch/d1.raw 64M
start_supervisor
not_waiting_for_anybody
waiting_for_its_daemon
main=$(main_pid)
vanishing
under_one_hba
expect_eq "$(main_pid)" "$main" "the supervisor's pid"
made_while_we_were_away
