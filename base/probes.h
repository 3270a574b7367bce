// Static probes (USDT) on one command's way, for bpftrace, perf and SystemTap: a nop each until somebody
// attaches. tcmu-supervisor(8), "PROBES", is the contract: names, arguments and what they mean; they stay.
// Pump: command_taken, command_given, command_answered. Host: command_started, command_done.
#pragma once

#include <sys/sdt.h>

#define BULKHEAD_PROBE3(name, a, b, c) DTRACE_PROBE3(bulkhead, name, a, b, c)
#define BULKHEAD_PROBE4(name, a, b, c, d) DTRACE_PROBE4(bulkhead, name, a, b, c, d)
