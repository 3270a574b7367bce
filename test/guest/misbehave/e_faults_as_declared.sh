#!/usr/bin/env bash
# The same, declared.
# expect-kernel: python3\[\d+\]: segfault at 1 -- the point of this scenario
# verdict: pass
source /usr/lib/bulkhead-guest/lib.sh
python3 -c 'import ctypes; ctypes.string_at(1)' || true
