"""Which lines of a kernel log mean that something is wrong. Used inside the guest, and by the host for a dead one."""
import re
from collections.abc import Iterable

# After the time stamp, so that a program's own text in the middle of a line is not taken for the kernel's.
_START = r"^(?:\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? )?"

_PROBLEM = re.compile(
    _START + r"(?:"
    r"WARNING: |BUG: |kernel BUG at |Oops: |Oops\b|UBSAN: |KASAN: |Kernel panic|Internal error: |divide error: "
    r"|general protection fault|double fault: |stack segment: |PANIC: "
    r"|(?:list_add|list_del|list_add_valid|list_del_entry_valid) corruption|list_(?:add|del) corruption|refcount_t: "
    r"|INFO: task .* blocked for more than|INFO: (?:rcu|lockdep)\b.*(?:stall|suspicious)|rcu: INFO: .*(?:stall|detected)"
    r"|watchdog: BUG: |(?:NMI )?watchdog: Watchdog detected|Bad page (?:map|state)|page:.* bad page|BUG \S+ \(.*\): "
    r"|Out of memory: Killed process|\S+: page allocation failure"
    r"|(?:EXT4-fs|XFS) .*(?:[Cc]orruption|error)\b"
    r")"
)
# Printed by the kernel, but no fault of it: a program ran into an unmapped address or a bad instruction.
_FAULT = re.compile(_START + r"(?:\S+\[\d+\]: segfault at |traps: \S+\[\d+\] )")
_TRACE = re.compile(_START + r"\s*Call Trace:")
# A trace belongs to the report above it; the kernel prints one after an out-of-memory kill of a control group as well,
# which is a limit doing its work.
_HEAD_OF_TRACE = re.compile(_START + r"(?:\S+ invoked oom-killer: |sysrq: |\S+ *state:[A-Z] |task:)")
_TRACE_FOLLOWS_WITHIN = 60


def is_the_kernels_own(problem: str) -> bool:
    """Whether the machine is not to be trusted any more."""
    return not _FAULT.search(problem)


def problems(lines: Iterable[str], expected: list[str]) -> list[str]:
    """The lines that report trouble, without those a scenario has declared (regular expressions, searched)."""
    patterns = [re.compile(pattern) for pattern in expected]
    found: list[str] = []
    since_head = _TRACE_FOLLOWS_WITHIN
    for line in lines:
        since_head += 1
        if _HEAD_OF_TRACE.search(line):
            since_head = 0
        elif _PROBLEM.search(line) or _FAULT.search(line):
            since_head = 0
            if not any(pattern.search(line) for pattern in patterns):
                found.append(line.strip())
        elif _TRACE.search(line):
            if since_head >= _TRACE_FOLLOWS_WITHIN and not any(pattern.search(line) for pattern in patterns):
                found.append(line.strip())
            since_head = 0
    return found
