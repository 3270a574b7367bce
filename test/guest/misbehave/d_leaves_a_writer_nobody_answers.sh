#!/usr/bin/env bash
# A configfs writer waits in the kernel, unkillably, for a daemon that is dead: clean-up can still resolve that.
# peer: tcmu-runner
# verdict: pass
source /usr/lib/bulkhead-guest/lib.sh
start_peer_runner
# It has told the kernel that devices are confirmed by it; now nobody will.
systemctl kill --signal=KILL "$PEER"
peer_gone() { ! pgrep -x tcmu-runner; }
wait_until 30 peer_gone
mkdir -p "$TARGET/core/user_9/orphan"
echo "dev_config=qcow//scratch/none" >"$TARGET/core/user_9/orphan/control"
echo "dev_size=67108864" >"$TARGET/core/user_9/orphan/control"
echo 1 >"$TARGET/core/user_9/orphan/enable" &
writer_waits() { grep -q '^State:.D' "/proc/$!/status"; }
wait_until 30 writer_waits
