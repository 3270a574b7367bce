#!/usr/bin/env bash
# Every bad creation is refused with the right errno at `echo 1 > enable`, made by hand through configfs so that nothing
# checks it before; with a message in the journal that names the input, the reason and the remedy; by CheckConfig, and so by
# targetcli, where the config string alone shows it; and it leaves nothing behind. Odd but good ones are accepted.
# timeout: 900
# run: once
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh
source /usr/lib/bulkhead-guest/helpers/settings.sh

readonly HANDLERS_FOLDER=/usr/lib/tcmu-bulkhead/handlers
readonly MIB=$((1 << 20))
trap 'rm -f $HANDLERS_FOLDER/{ghost,broken}.textproto $HANDLERS_FOLDER/handler_broken.so' EXIT
number=0

# refused ERRNO PATTERN CONFIG [SETTING...]: SETTINGs are dev_size=64 MiB if none is given.
refused() {
  local errno=$1 pattern=$2 config=$3 place
  shift 3
  [ $# -gt 0 ] || set -- "dev_size=$((64 * MIB))"
  number=$((number + 1))
  place=$(hand_device 1 "bad$number" "dev_config=$config" "$@")
  expect_eq "$(enable_errno "$place")" "$errno" "enabling $config with $*"
  heard "$pattern" || die "for $config with $* the journal has no line that matches: $pattern"
  no_uio || die "$config with $* leaves a uio device"
  wait_until 10 no_hosts_at_all || die "$config with $* leaves a host"
  hand_remove "$place"
}

# The daemon's journal, kept in a file, as looking into the journal itself takes much longer.
follow_journal() {
  journalctl -q -f --no-pager -o cat --after-cursor="$JOURNAL_CURSOR" -u "$SUPERVISOR" >/run/followed-journal &
}
said() { grep -qE -- "$1" /run/followed-journal; }
# heard PATTERN: the daemon says so, in time. Of two messages whose times are the wrong way round following misses one.
heard() { happens 10 said "$1" || journal_has "$1"; }

# refused_early PATTERN CONFIG: by CheckConfig, without a device.
refused_early() {
  local said
  said=$(check_config "$2")
  [[ $said == '[false,'* ]] || die "CheckConfig accepts ${2:0:300}: $said"
  [[ $said =~ $1 ]] || die "CheckConfig of ${2:0:300} says ${said:0:300}, expected /$1/"
}

# accepted CONFIG [SETTING...]: created, served and removed.
accepted() {
  local config=$1 place
  shift
  [ $# -gt 0 ] || set -- "dev_size=$((64 * MIB))"
  number=$((number + 1))
  place=$(hand_device 1 "good$number" "dev_config=$config" "$@")
  expect_eq "$(enable_errno "$place")" 0 "enabling $config with $*"
  expect_eq "$(property "good$number" State)" serving "state of $config with $*"
  hand_remove "$place"
  no_uio || die "$config with $* leaves a uio device"
}

files() {
  say "== what the path names"
  refused ENOENT '/scratch/none.img does not exist.*truncate -s 67108864 /scratch/none.img.*create=on' file//scratch/none.img
  refused_early '/scratch/none.img does not exist.*truncate -s' file//scratch/none.img
  refused ENOENT '/scratch/no/such/folder.img does not exist' file//scratch/no/such/folder.img
  refused ENOTDIR '/scratch/good.img/x: a part of the path' file//scratch/good.img/x
  refused EISDIR '/scratch is a directory.*a file or a block device' file//scratch
  refused_early 'is a directory' file//scratch
  mkfifo /scratch/fifo
  refused EINVAL '/scratch/fifo is a FIFO.*block device' file//scratch/fifo
  refused_early 'is a FIFO' file//scratch/fifo
  refused EINVAL '/dev/null is a character device' file//dev/null
  refused EINVAL 'is a socket' file//run/dbus/system_bus_socket
  # A link to a process' own file is no way around the broker.
  refused ELOOP '/proc/self/exe' file//proc/self/exe
  refused EINVAL "/proc/version is one of the kernel's own" file//proc/version
  refused EINVAL "/sys/kernel/notes is one of the kernel's own" file//sys/kernel/notes
  refused_early "one of the kernel's own" 'file//proc/version?ro=on'
}

own_disks() {
  say "== a disk that is a LUN of ours"
  local place above disk
  place=$(hand_device 1 own dev_config=file//scratch/good.img "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$place")" 0 "enabling the LUN behind the disk"
  disk=$(hand_loopback own)
  above=$(hand_device 2 above "dev_config=file/$disk" "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$above")" EINVAL "enabling a LUN on the disk"
  heard "$disk is a LUN of TCMU itself.*what that LUN is made of" || die "the journal does not say so"
  hand_remove "$above"
  refused_early 'is a LUN of TCMU itself' "file/$disk?ro=on"
  dmsetup create upon --table "0 2048 linear $disk 0"
  refused_early '/dev/mapper/upon is a LUN of TCMU itself.*or lies upon one' "file//dev/mapper/upon?ro=on"
  dmsetup remove upon
  hand_unexport own
  hand_remove "$place"
}

folders() {
  say "== folders that tcmu.conf allows"
  mkdir -p /scratch/allowed/deep
  make_backing /scratch/allowed/a.img 64M
  ln -s ../a.img /scratch/allowed/deep/inside.img
  ln -s ../../good.img /scratch/allowed/deep/outside.img
  ln -s /scratch/allowed/a.img /scratch/allowed/absolute.img
  configure 'file_roots = "/mnt/none:/scratch/allowed"'
  accepted file//scratch/allowed/a.img
  accepted file//scratch/allowed/deep/inside.img
  accepted 'file//scratch/allowed/made.img?create=on'
  refused EXDEV '/scratch/good.img is in no folder.*file_roots.*/mnt/none:/scratch/allowed' file//scratch/good.img
  refused_early 'is in no folder.*file_roots' file//scratch/good.img
  refused EXDEV 'allowed/../good.img leads out' file//scratch/allowed/../good.img
  refused EXDEV 'outside.img leads out' file//scratch/allowed/deep/outside.img
  refused EXDEV 'absolute.img leads out' file//scratch/allowed/absolute.img
  refused EXDEV 'none.img is in no folder' 'file//scratch/none.img?create=on'
  [ ! -e /scratch/none.img ] || die "create=on makes a file where none may be"
  configure 'file_roots = /scratch/allowed' 'file_symlinks = refuse'
  refused ELOOP 'inside.img: .*file_symlinks' file//scratch/allowed/deep/inside.img
  accepted file//scratch/allowed/a.img
  # One device may be closed in more than the others.
  configure '[user_1/closed]' "file_roots = ''"
  local place
  place=$(hand_device 1 closed dev_config=file//scratch/good.img "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$place")" EXDEV "enabling a LUN that may open nothing"
  hand_remove "$place"
  accepted file//scratch/good.img
  configure '# nothing'
  accepted file//scratch/allowed/absolute.img
}

permissions() {
  say "== what may not be written"
  make_backing /scratch/fixed.img 64M
  chattr +i /scratch/fixed.img
  refused EPERM "/scratch/fixed.img can't be opened for writing.*ro=on" file//scratch/fixed.img
  refused_early "can't be opened for writing.*ro=on" file//scratch/fixed.img
  accepted 'file//scratch/fixed.img?ro=on'
  chattr -i /scratch/fixed.img

  mkdir -p /mnt/readonly
  mount -t tmpfs -o size=80m none /mnt/readonly
  truncate -s 64M /mnt/readonly/a.img
  mount -o remount,ro /mnt/readonly
  refused EROFS "/mnt/readonly/a.img can't be opened for writing.*ro=on" file//mnt/readonly/a.img
  accepted 'file//mnt/readonly/a.img?ro=on'
  umount /mnt/readonly

  local loop
  loop=$(losetup -f --show /scratch/good.img)
  blockdev --setro "$loop"
  refused EROFS "$loop is write-protected.*ro=on.*blockdev --setrw $loop" "file/$loop"
  accepted "file/$loop?ro=on"
  blockdev --setrw "$loop"
  accepted "file/$loop"
  losetup -d "$loop"
}

sizes() {
  say "== sizes"
  : >/scratch/empty.img
  refused EINVAL '/scratch/empty.img is empty.*truncate -s' file//scratch/empty.img
  refused EINVAL 'size 0 is not a multiple' file//scratch/good.img dev_size=0
  refused EINVAL 'size 67108865 is not a multiple .*of the block size 512' file//scratch/good.img dev_size=67108865
  refused EINVAL 'size 67109376 is not a multiple .*of the block size 4096' file//scratch/good.img dev_size=67109376,hw_block_size=4096
  refused EINVAL '/scratch/good.img has 67108864 bytes, the LUN 67109376: .*truncate -s 67109376 /scratch/good.img' \
    file//scratch/good.img dev_size=67109376
  accepted file//scratch/good.img dev_size=67108864,hw_block_size=4096
  refused EINVAL 'block size of 520 bytes .*power of two from 512 to 65536' file//scratch/good.img dev_size=$((520 * 1000)),hw_block_size=520
  refused EINVAL 'block size of 131072 bytes .*power of two' file//scratch/good.img dev_size=67108864,hw_block_size=131072
  refused EINVAL 'block size of 256 bytes .*power of two' file//scratch/good.img dev_size=67108864,hw_block_size=256
  # The remedy that the message names is one.
  local place
  place=$(hand_device 1 remedied dev_config=file//scratch/later.img dev_size=1048576)
  expect_eq "$(enable_errno "$place")" ENOENT "enabling without a file"
  truncate -s 1048576 /scratch/later.img
  expect_eq "$(enable_errno "$place")" 0 "enabling after the remedy"
  wait_state remedied serving
  hand_remove "$place"
  accepted 'file//scratch/made.img?create=on'
  expect_eq "$(stat -c '%s %b %a' /scratch/made.img)" "$((64 * MIB)) 0 600" "size, blocks and mode of the file made by create=on"
}

strings() {
  say "== config strings"
  refused EINVAL 'names no file.*absolute path' file/
  refused EINVAL 'the path is relative.*absolute' file/scratch/good.img
  refused EINVAL 'begins with a quote.*leave them out' 'file/"/scratch/good.img"'
  refused_early 'begins with a quote' 'file/"/scratch/good.img"'
  refused EINVAL 'unknown option colour; there are ro, create' 'file//scratch/good.img?colour=red'
  refused_early 'unknown option colour; there are' 'file//scratch/good.img?colour=red'
  refused EINVAL 'option ro=maybe: the value must be on or off' 'file//scratch/good.img?ro=maybe'
  refused EINVAL 'ro=on and create=on contradict' 'file//scratch/none.img?ro=on&create=on'
  refused EINVAL 'file//scratch/good%zz.img|%zz' 'file//scratch/good%zz.img'
  # Names that no shell wants, as they are and escaped.
  local odd
  odd=$'/scratch/d\xc3\xbcrer"quoted"it\'s.img'
  make_backing "$odd" 64M
  accepted "file/$odd"
  make_backing '/scratch/two words.img' 64M
  accepted 'file//scratch/two%20words.img'
  # rtslib cuts a saved string at a space.
  refused EINVAL 'byte 13 is a space, which does not survive .*write %20' 'file//scratch/two words.img'
  refused_early 'is a space' 'file//scratch/two words.img'
  make_backing $'/scratch/comma,new\nline.img' 64M
  accepted 'file//scratch/comma%2Cnew%0Aline.img'
  expect_eq "$(check_config 'file//scratch/comma%2Cnew%0Aline.img')" '[true,"success"]' "CheckConfig of an escaped name"
  # The longest string that the kernel carries, one byte more (it cuts it), and one that only D-Bus can carry.
  local folder name
  folder=/scratch/$(printf 'f%.0s' {1..120})
  name=$(printf 'n%.0s' $(seq $((255 - 5 - ${#folder} - 1))))
  mkdir "$folder"
  make_backing "$folder/$name" 64M
  make_backing "$folder/${name}x" 64M
  expect_eq "$(printf 'file/%s/%s' "$folder" "$name" | wc -c)" 255 "bytes of the longest config string"
  accepted "file/$folder/$name"
  expect_eq "$(check_config "file/$folder/$name")" '[true,"success"]' "CheckConfig of 255 bytes"
  refused_early '255' "file/$folder/${name}x"
  refused_early 'has 4102 bytes; at most' "file//$(printf 'x%.0s' {1..4096})"
  refused_early 'has 30006 bytes; at most' "file//$(printf 'x%.0s' {1..30000})"
  rm "$folder/$name"
  refused ENOENT "${name:0:40}n* does not exist" "file/$folder/${name}x"
}

locks() {
  say "== two LUNs on one file"
  local first second third
  first=$(hand_device 1 first dev_config=file//scratch/good.img "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$first")" 0 "enabling the first LUN of a file"
  second=$(hand_device 2 second dev_config=file//scratch/good.img "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$second")" EBUSY "enabling the second LUN of a file"
  heard '/scratch/good.img is wanted by user_2/second and open for writing by user_1/first: .*lock=off' || die "the journal does not say so"
  # By another name it is the same file.
  ln -s good.img /scratch/link.img
  third=$(hand_device 3 third dev_config=file//scratch/link.img "dev_size=$((64 * MIB))")
  expect_eq "$(enable_errno "$third")" EBUSY "enabling the same file through a link"
  heard 'link.img is wanted by user_3/third and open for writing by user_1/first as /scratch/good.img' ||
    die "the journal does not say so of the link"
  # The next supervisor knows from the host that it goes on with; the next host of the LUN gets its image.
  systemctl restart "$SUPERVISOR"
  main=$(main_pid)
  wait_state first serving
  expect_eq "$(enable_errno "$second")" EBUSY "enabling the second LUN after a restart of the supervisor"
  heard 'is wanted by user_2/second and open for writing by user_1/first: ' || die "the journal does not say so"
  local host
  host=$(property first HostPid)
  kill -KILL "$host"
  host_is_not() { [[ $(property first HostPid) != @(0|"$1") ]]; }
  wait_until 30 host_is_not "$host" || die "no other host comes"
  wait_state first serving
  expect_eq "$(enable_errno "$third")" EBUSY "enabling the same file after its LUN got another host"
  # Sharing is possible for those who ask.
  printf '%s' 'dev_config=file//scratch/good.img?lock=off' >"$second/control"
  expect_eq "$(enable_errno "$second")" 0 "enabling a second LUN that asks to share"
  hand_remove "$second"
  expect_eq "$(property first State)" serving "state of the first LUN"
  [ "$(pgrep -cf '^tcmu-host: ')" = 1 ] || die "hosts of refused LUNs are left"
  hand_remove "$third"
  hand_remove "$first"
}

broken_handlers() {
  say "== handlers without a library, or with one that is none"
  stop_supervisor
  printf 'subtype: "ghost"\nname: "a ghost"\nconfig_description: "none"\n' >$HANDLERS_FOLDER/ghost.textproto
  printf 'subtype: "broken"\nname: "broken"\nconfig_description: "none"\n' >$HANDLERS_FOLDER/broken.textproto
  echo "this is no library" >$HANDLERS_FOLDER/handler_broken.so
  start_supervisor
  refused ENOENT 'ghost.*handler_ghost.so' ghost/x
  refused_early 'ghost' ghost/x
  refused_early 'broken' broken/x
  local place
  place=$(hand_device 1 broken dev_config=broken/x dev_size=1048576)
  [ "$(enable_errno "$place")" != 0 ] || die "a handler that is no library serves a LUN"
  heard 'handler_broken.so' || die "the journal does not name the broken library"
  expect_nothing_left
  hand_remove "$place"
  # The good ones do not suffer.
  accepted file//scratch/good.img
}

by_targetcli() {
  say "== the same through targetcli"
  local said
  said=$(within 120 targetcli /backstores/user:file create name=t0 size=64M cfgstring=/scratch/none.img 2>&1 || true)
  expect_has "$said" 'cfgstring invalid: .*/scratch/none.img does not exist' "targetcli, missing file"
  said=$(within 120 targetcli /backstores/user:file create name=t0 size=128M cfgstring=/scratch/good.img 2>&1 || true)
  expect_has "$said" 'creation failed' "targetcli, file smaller than the LUN"
  ! device_of t0 || die "targetcli left a device behind"
  # After all of this the daemon is as good as new.
  create_lun file t0 64M /scratch/good.img
  delete_lun t0
}

expect_has() { grep -qE -- "$2" <<<"$1" || die "$3: said \"$1\", expected /$2/"; }

make_backing /scratch/good.img 64M
start_supervisor
follow_journal
main=$(main_pid)
for part in files own_disks permissions folders sizes strings locks by_targetcli; do
  "$part"
  expect_nothing_left
done
expect_eq "$(main_pid)" "$main" "the supervisor's pid"
broken_handlers
