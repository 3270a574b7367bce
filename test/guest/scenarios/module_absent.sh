#!/usr/bin/env bash
# The kernel is not ready for us: target_core_user is blacklisted, or configfs is not mounted. The daemon starts all the same,
# answers on the bus, and says in the journal and in its status what to do; done that, devices are served without a restart,
# also those that are made first.
# timeout: 400
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

status_text() { systemctl show --value --property=StatusText "$SUPERVISOR"; }
status_matches() { status_text | grep -qE -- "$1"; }
module_loaded() { [ -d /sys/module/target_core_user ]; }
configfs_mounted() { mountpoint -q /sys/kernel/config; }

works_without_devices() {
  expect_eq "$(systemctl is-active "$SUPERVISOR")" active "the unit"
  expect_eq "$(check_config file//scratch/d0.raw)" '[true,"success"]' "CheckConfig without the kernel's side"
  handler_shown file || die "the handler is not on the bus"
  tcmuctl list >/dev/null || die "tcmuctl list fails"
}

serves_now() {
  local disk
  create_lun file d0 64M /scratch/d0.raw
  disk=$(loopback_lun d0)
  dd if=/dev/urandom of="$disk" oflag=direct bs=1M count=4 status=none
  delete_lun d0
  # The loopback target too, and the fabric's folder, which holds its module.
  clear_targets
  rmdir "$TARGET/loopback"
  wait_until 30 status_matches '^Serving' || die "the status is still: $(status_text)"
}

blacklisted() {
  local main
  say "== target_core_user is blacklisted"
  within 60 modprobe -r tcm_loop target_core_user || true
  ! module_loaded || die "target_core_user can't be unloaded"
  # "install" stops explicit loading too, but not `modprobe --ignore-install`, as an administrator would do it.
  printf 'blacklist target_core_user\n' >/etc/modprobe.d/no-tcmu.conf
  start_supervisor
  main=$(main_pid)
  ! module_loaded || die "the blacklist was ignored"
  wait_until 30 journal_has 'load target_core_user: blacklisted; remove its line from /etc/modprobe.d' ||
    die "the journal does not say that the module is blacklisted"
  wait_until 30 journal_has 'no devices can be served yet: .*modprobe target_core_user' ||
    die "the journal does not say what to do"
  wait_until 30 status_matches 'modprobe target_core_user' || die "systemctl status says: $(status_text)"
  works_without_devices
  tcmuctl doctor >"$FILES/doctor-module.txt" 2>&1 && die "tcmuctl doctor finds nothing"
  grep -q 'modprobe target_core_user' "$FILES/doctor-module.txt" || die "tcmuctl doctor: $(cat "$FILES/doctor-module.txt")"

  # A blacklist does not bind whoever names the module.
  modprobe target_core_user
  wait_until 30 status_matches '^Serving' || die "after modprobe systemctl status says: $(status_text)"
  serves_now
  # The module goes and comes back under the running daemon.
  within 60 modprobe -r tcm_loop target_core_user || die "the daemon holds the module"
  wait_until 30 status_matches 'modprobe target_core_user' || die "after unloading systemctl status says: $(status_text)"
  modprobe target_core_user
  serves_now
  expect_eq "$(main_pid)" "$main" "the supervisor's pid"
  stop_supervisor
  rm /etc/modprobe.d/no-tcmu.conf
}

unmounted() {
  local main
  say "== configfs is not mounted"
  within 60 modprobe -r tcm_loop target_core_user || true
  # So that nothing mounts it for us.
  systemctl mask --runtime --quiet sys-kernel-config.mount
  umount /sys/kernel/config
  start_supervisor
  main=$(main_pid)
  ! configfs_mounted || die "somebody mounted configfs"
  wait_until 30 journal_has 'configfs is not mounted.*mount -t configfs none /sys/kernel/config' ||
    die "the journal does not say what to do"
  wait_until 30 status_matches 'mount -t configfs none /sys/kernel/config' || die "systemctl status says: $(status_text)"
  works_without_devices
  tcmuctl doctor >"$FILES/doctor-configfs.txt" 2>&1 && die "tcmuctl doctor finds nothing"
  grep -q 'mount -t configfs' "$FILES/doctor-configfs.txt" || die "tcmuctl doctor: $(cat "$FILES/doctor-configfs.txt")"
  mount -t configfs none /sys/kernel/config
  wait_until 30 status_matches '^Serving' || die "after mounting systemctl status says: $(status_text)"
  serves_now
  expect_eq "$(main_pid)" "$main" "the supervisor's pid"
  systemctl unmask --runtime --quiet sys-kernel-config.mount
}

make_backing /scratch/d0.raw 64M
trap 'configfs_mounted || mount -t configfs none /sys/kernel/config; systemctl unmask --runtime --quiet sys-kernel-config.mount' EXIT
blacklisted
unmounted
