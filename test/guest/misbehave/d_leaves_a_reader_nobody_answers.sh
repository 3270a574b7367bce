#!/usr/bin/env bash
# A reader waits for a LUN whose daemon was killed: clean-up resets the ring and gets rid of both.
# peer: tcmu-runner
# verdict: pass
source /usr/lib/bulkhead-guest/lib.sh
start_peer_runner
make_backing /scratch/r.raw 64M
create_lun qcow r 64M /scratch/r.raw
disk=$(loopback_lun r)
systemctl kill --signal=KILL "$PEER"
dd if="$disk" of=/dev/null bs=4k count=1 iflag=direct status=none &
reader_waits() { grep -q '^State:.D' "/proc/$!/status"; }
wait_until 30 reader_waits
