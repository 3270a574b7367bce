#!/bin/bash
# own-disks [--if-shutting-down]: takes down the disks of this machine itself that are LUNs of TCMU devices of ours, shown by
# loopback. File systems on them are unmounted, swap on them is switched off, then the disks are deleted; the devices and
# targets stay.
#
# Why: the kernel flushes a disk before it lets go of it, at `targetctl clear` and when the machine goes down. With nobody to
# answer, that flush is tried again for 18 minutes (sd_sync_cache(): three times six minutes of BUSY) by a task that can't be
# killed. So the disks must go while their LUNs are still served. If they aren't any more (the supervisor was killed and
# masked), the disks are set offline first: what is under way on them fails at once, and nothing waits.
#
# systemd can't order this: which mount lies on a LUN of ours, and so has to go before us, and which holds the files behind
# the LUNs, and so has to go after us, it does not know.
set -u

readonly CORE=/sys/kernel/config/target/core
readonly LOOPBACK=/sys/kernel/config/target/loopback
readonly HANDLERS=/usr/lib/tcmu-bulkhead/handlers
readonly PATIENCE=30 # seconds for whoever uses such a file system to end, too

say() { printf '%s\n' "$*"; }

# ours DEVICE-FOLDER: whether its handler is one of ours.
ours() {
  local subtype
  subtype=$(sed -n 's|.*Config: \([^/]*\)/.*|\1|p' "$1/info" 2>/dev/null)
  [ -n "$subtype" ] && [ -e "$HANDLERS/$subtype.textproto" ]
}

# our_disks: "NAME-IN-/sys/block DEVICE-FOLDER", one a line.
our_disks() {
  local link device tpg lun place
  for link in "$LOOPBACK"/*/tpgt_*/lun/lun_*/*; do
    [ -L "$link" ] || continue
    device=$(readlink -f "$link")
    [[ $device == "$CORE"/user_*/* ]] || continue
    ours "$device" || continue
    lun=${link%/*} tpg=${link%/lun/*}
    for place in /sys/bus/scsi/devices/"$(cat "$tpg/address")":"${lun##*/lun_}"/block/*; do
      [ ! -d "$place" ] || say "${place##*/} $device"
    done
  done
}

supervisor_lives() {
  case $(systemctl show --value --property=ActiveState tcmu-supervisor.service 2>/dev/null) in
    active | reloading | deactivating) return 0 ;;
  esac
  return 1
}

# used_by DISK: what is mounted from it, or swapped to, or built on it; the latest first: "mount PATH", "swap DEVICE".
used_by() {
  local node
  lsblk -nrpo NAME "/dev/$1" 2>/dev/null | tac | while read -r node; do
    findmnt -nro TARGET -S "$node" | tac | sed 's/^/mount /'
    if swapon --show=NAME --noheadings | grep -qxF "$node"; then say "swap $node"; fi
  done
}

let_go() { # let_go DISK: true when nothing uses it any more
  local kind what busy=0
  while read -r kind what; do
    what=$(printf '%b' "$what") # findmnt writes blanks as \x20
    if [ "$kind" = mount ]; then umount -- "$what" || busy=1; else swapoff -- "$what" || busy=1; fi
  done < <(used_by "$1")
  return "$busy"
}

main() {
  local disk device cache ends dead=no
  local -A found=()
  if [ "${1:-}" = --if-shutting-down ] && [ "$(systemctl is-system-running 2>/dev/null)" != stopping ]; then return 0; fi
  while read -r disk device; do found[$disk]=$device; done < <(our_disks)
  [ ${#found[@]} -gt 0 ] || return 0
  supervisor_lives || dead=yes
  for disk in "${!found[@]}"; do
    say "taking down /dev/$disk (${found[$disk]#"$CORE"/})"
    [ $dead = yes ] || continue
    say "nobody serves /dev/$disk: what was not flushed to it is lost"
    echo offline >"/sys/block/$disk/device/state"
    # Deleted, it counts as online again and is flushed after all, unless it has nothing to flush.
    for cache in "/sys/block/$disk/device/scsi_disk"/*/cache_type; do echo "temporary write through" >"$cache"; done
    # What waits in the ring for an answer gets BUSY, and then finds the disk offline.
    echo 1 >"${found[$disk]}/action/block_dev"
    echo 1 >"${found[$disk]}/action/reset_ring"
  done
  ends=$((SECONDS + PATIENCE))
  for disk in "${!found[@]}"; do
    until let_go "$disk" 2>/dev/null; do
      if [ $SECONDS -ge $ends ]; then
        say "/dev/$disk is still in use: $(used_by "$disk" | paste -sd,); it goes all the same"
        [ $dead = yes ] || sync
        break
      fi
      sleep 0.2
    done
    echo 1 >"/sys/block/$disk/device/delete"
  done
}

main "$@"
