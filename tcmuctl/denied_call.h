// The kernel's audit record of a system call that a filter forbade (type 1326, SECCOMP), in words: it has the
// call's number only. Pure: asks no supervisor and reads no log.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tcmuctl/failure.h"

namespace bulkhead::tcmuctl {

// A line of the kernel's log, of journald's or of auditd's: "tcmu:file/d0 (pid 343): memfd_create; it was
// ended (SIGSYS)", after the time if the record has one. Not fit to be shown as it is: see base/printable.h.
// nullopt: the line is no such record.
[[nodiscard]] std::optional<std::string> describe_denied_call(std::string_view record);

// Of words that a shell has split. Usage: no such record.
[[nodiscard]] Outcome<std::string> decode_seccomp(std::span<const std::string> words);

}  // namespace bulkhead::tcmuctl
