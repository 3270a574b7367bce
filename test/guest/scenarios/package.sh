#!/usr/bin/env bash
# The Debian package as an administrator meets it: installed over a running tcmu-runner, whose LUNs are taken over, saved and
# restored, and whose changed configuration stays; upgraded while LUNs are under load that is checked block by block, with no
# error and with the same hosts; removed and purged, with nothing left. Wants `--add DIR=/var/lib/bulkhead-guest/package`,
# where DIR has two versions, as `tools/package --next` makes them, and tcmu-storm.
# run: by-name
# boot: own
# install: no
# packages: tcmu-runner
# timeout: 600
readonly PACKAGES=/var/lib/bulkhead-guest/package
# storm.sh's
# shellcheck disable=SC2034
STORM=$PACKAGES/tcmu-storm
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/storm.sh
# shellcheck disable=SC2034
STORM_LUNS=(s0 s1 s2) FIO_LUNS=() CALM_LUNS=()

mapfile -t versions < <(find $PACKAGES -name 'tcmu-bulkhead_*.deb' | sort -V)
[ ${#versions[@]} = 2 ] || die "there are not two packages in $PACKAGES: see the top of this scenario"

# As people do it; a configuration file that somebody has changed is kept without a question.
get() { DEBIAN_FRONTEND=noninteractive within 120 apt-get -y -o Dpkg::Options::=--force-confold "$@" >&2 || die "apt-get $* failed"; }
state_of() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || echo not-installed; }
expect_unit() { # expect_unit NAME active|inactive
  expect_eq "$(systemctl is-active "$1" || true)" "$2" "state of $1"
}

say "== tcmu-runner is there, with LUNs that targetcli has saved"
within 60 systemctl start tcmu-runner.service
wait_until 60 bus_name_owned
# As one with the handler file would have left them. Debian's has none, so the kernel is told not to ask it.
number=70
for lun in "${STORM_LUNS[@]}"; do
  make_backing "/scratch/$lun.raw" 64M
  place=$(hand_device "$number" "$lun" nl_reply_supported=-1 "dev_config=file//scratch/$lun.raw" "dev_size=$((64 << 20))")
  expect_eq "$(enable_errno "$place")" 0 "enabling $lun"
  number=$((number + 1))
done
printf 'log_level = 4\n' >/etc/tcmu/tcmu.conf
runner=$(name_owner_pid)

say "== installed over it"
get install "${versions[0]}"
expect_eq "$(state_of tcmu-bulkhead)/$(state_of tcmu-runner)" installed/config-files "the packages"
expect_unit tcmu-supervisor.service active
expect_unit tcmu-runner.service active # our alias
expect_eq "$(main_pid)" "$(name_owner_pid)" "owner of the name"
[ ! -e "/proc/$runner" ] || die "tcmu-runner still runs"
expect_eq "$(cat /etc/tcmu/tcmu.conf)" 'log_level = 4' "the changed configuration"
grep -q '^<busconfig/>' /etc/dbus-1/system.d/tcmu-runner.conf || die "tcmu-runner's bus policy still lets everybody register"
expect_eq "$(grep -l tcmu-runner /etc/logrotate.d/* | xargs)" /etc/logrotate.d/tcmu-runner "files with rules for the log"
wait_until 60 all_serving || die "LUNs of tcmu-runner's times are not served: $(tcmuctl list)"

say "== what is left of tcmu-runner is purged"
get purge tcmu-runner
expect_eq "$(cat /etc/tcmu/tcmu.conf)" 'log_level = 4' "the configuration, which is not tcmu-runner's any more"
expect_unit tcmu-runner.service active
systemctl is-enabled tcmu-supervisor.service >/dev/null || die "it would not be started at boot"

say "== the LUNs are exported and saved, taken down, and come back"
for lun in "${STORM_LUNS[@]}"; do DISK[$lun]=$(hand_loopback "$lun"); done
targetctl save >/dev/null
for lun in "${STORM_LUNS[@]}"; do echo 1 >"/sys/block/${DISK[$lun]##*/}/device/delete"; done
within 60 targetctl clear
no_uio || die "LUNs are left after targetctl clear"
within 60 targetctl restore
wait_until 60 all_serving || die "saved LUNs do not come back: $(tcmuctl list)"
for lun in "${STORM_LUNS[@]}"; do DISK[$lun]=$(loopback_lun "$lun"); done

say "== upgraded under load"
checked_start storm "${STORM_LUNS[*]}" --rate 40 --depth 8 --kib 256
hosts=() main=$(main_pid)
for lun in "${STORM_LUNS[@]}"; do hosts+=("$(host_pid "$lun")"); done
began=$(date +%s%N)
get install "${versions[1]}"
record "upgrade" $((($(date +%s%N) - began) / 1000000)) ms
wait_until 60 bus_name_owned
wait_until 60 all_serving
expect_eq "$(dpkg-deb -f "${versions[1]}" Version)" "$(dpkg-query -W -f '${Version}' tcmu-bulkhead)" "version"
[ "$(main_pid)" != "$main" ] || die "the old supervisor still runs"
for lun in "${STORM_LUNS[@]}"; do
  expect_eq "$(host_pid "$lun")" "${hosts[0]}" "host of $lun"
  expect_eq "$(property "$lun" Adoptions)" 1 "adoptions of the host of $lun"
  load_flows storm "${DISK[$lun]}"
  hosts=("${hosts[@]:1}")
done
checked_stop storm
record "longest stall at the upgrade" "$(longest_of storm)" ms
no_error_in_the_kernel_log

say "== removed: as at a stop; the LUNs stay, and answer BUSY"
for lun in "${STORM_LUNS[@]}"; do echo 1 >"/sys/block/${DISK[$lun]##*/}/device/delete"; done
get remove tcmu-bulkhead
expect_eq "$(state_of tcmu-bulkhead)" config-files "the package"
expect_unit tcmu-supervisor.service inactive
wait_until 20 no_hosts_at_all || die "hosts are left: $(pgrep -af '^tcmu-host: ')"
expect_eq "$(systemctl list-units --no-legend 'tcmu*')" "" "units after the removal"
[ ! -e /usr/lib/tcmu-bulkhead ] || die "files are left: $(find /usr/lib/tcmu-bulkhead)"
expect_eq "$(cat /etc/tcmu/tcmu.conf)" 'log_level = 4' "the configuration after a removal"
within 60 targetctl clear

say "== purged: nothing is left that belongs to no package"
get purge tcmu-bulkhead
left=$(find /etc /usr /var /run -xdev \( -iname '*tcmu*' -o -name 'own-disks' \) -not -path '/usr/lib/modules/*' \
  -not -path '/var/lib/bulkhead-guest/*' -not -path '/var/lib/dpkg/info/libtcmu2*' |
  while read -r file; do dpkg -S "$file" >/dev/null 2>&1 || printf '%s\n' "$file"; done)
expect_eq "$left" "" "files left after the purge"
expect_eq "$(systemctl list-unit-files --no-legend 'tcmu*' || true)" "" "units left after the purge"
