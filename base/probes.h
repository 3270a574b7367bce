// Static probes (USDT) on one command's way, for bpftrace, perf and SystemTap: a nop each until somebody
// attaches. tcmu-supervisor(8), "PROBES", is the contract: names and arguments stay.
//
//   tcmu-supervisor
//     command_taken(path, cmd_id, opcode, bytes)         taken from the kernel's ring, not given to a host
//     yet command_given(path, cmd_id, slot, generation)      to the host, which sees it at the next
//     publication command_answered(path, cmd_id, status, usec)       written into the ring; usec: since it
//     was taken
//   tcmu-handler-host
//     command_started(slot, generation, opcode)
//     command_done(slot, generation, status)
//
// `path` tells devices apart; slot and generation are the same on both sides.
#pragma once

#include <sys/sdt.h>

#define BULKHEAD_PROBE3(name, a, b, c) DTRACE_PROBE3(bulkhead, name, a, b, c)
#define BULKHEAD_PROBE4(name, a, b, c, d) DTRACE_PROBE4(bulkhead, name, a, b, c, d)
