#!/usr/bin/env bash
# A program that runs into an unmapped address is seen in the kernel's log, though the scenario does not notice.
# verdict: fail -- ^kernel: .*segfault at
source /usr/lib/bulkhead-guest/lib.sh
python3 -c 'import ctypes; ctypes.string_at(1)' || true
