#!/usr/bin/env bash
# The supervisor does not get to read its netlink events, and the kernel drops some: it looks for devices again, serves one
# whose event was lost, and forgets one that went meanwhile.
source /usr/lib/bulkhead-guest/lib.sh
source /usr/lib/bulkhead-guest/helpers/devices.sh

readonly MIB=$((1 << 20))

# dropped: events that the kernel has dropped for generic netlink sockets, from /proc/net/netlink.
dropped() { awk '$2 == 16 { n += $9 } END { exit !(n > 0) }' /proc/net/netlink; }

start_supervisor
main=$(main_pid)
make_backing /scratch/d0.raw 64M
create_lun file d0 64M /scratch/d0.raw
gone=$(hand_device 1 gone "dev_config=null/" "dev_size=$MIB" nl_reply_supported=-1)
expect_eq "$(enable_errno "$gone")" 0 "enabling the first device"
wait_state gone serving

kill -STOP "$main"
# Thousands of events fit into its socket; that would take minutes here. With a small one the kernel does just the same.
python3 - "$main" <<'PY'
import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
pidfd = os.pidfd_open(pid)
shrunk = 0
for number in map(int, os.listdir(f"/proc/{pid}/fd")):
    copy = libc.syscall(438, pidfd, number, 0)  # pidfd_getfd
    if copy < 0:
        continue
    try:
        with socket.socket(fileno=copy) as one:
            if one.family == socket.AF_NETLINK and one.proto == 16:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                shrunk += 1
    except OSError:
        pass  # no socket; socket() leaves the descriptor open then
sys.exit(shrunk == 0)
PY
# Nobody waits for a reply, so nobody hangs.
cat >/run/noise.py <<'PY'
import os, sys
place = sys.argv[1]
for _ in range(40):
    os.mkdir(place)
    for line in ("dev_config=null/", "dev_size=1048576", "nl_reply_supported=-1"):
        with open(place + "/control", "w") as control:
            control.write(line)
    with open(place + "/enable", "w") as enable:
        enable.write("1")
    os.rmdir(place)
PY
rounds=0
until dropped; do
  [ $((rounds += 1)) -le 10 ] || die "the kernel drops no events: $(cat /proc/net/netlink)"
  python3 /run/noise.py "$TARGET/core/user_1/noise"
done
rmdir "$gone"
late=$(hand_device 1 late "dev_config=null/" "dev_size=$MIB" nl_reply_supported=-1)
expect_eq "$(enable_errno "$late")" 0 "enabling a device whose event is lost"
kill -CONT "$main"

wait_until 60 journal_has 'looking for devices again: the kernel sent netlink events faster than they were read' ||
  die "the loss of events is not noticed"
wait_state late serving
wait_until 60 no_object gone || die "the device that went is still on the bus"
wait_until 60 no_object noise || die "a device that came and went is still on the bus"
expect_eq "$(property d0 State)" serving "the device that stayed"
expect_eq "$(main_pid)" "$main" "the supervisor's pid"
# And the line to the kernel works as before.
hand_remove "$late"
delete_lun d0
expect_nothing_left
