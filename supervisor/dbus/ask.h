// Method calls as coroutines. sd-bus's own blocking calls, and its helpers that hide one
// (sd_bus_query_sender_creds, sd_bus_query_sender_privilege, SD_BUS_VTABLE_CAPABILITY, sd_bus_track), would
// let a stuck bus daemon stop every device.
#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>

#include "base/bus_handles.h"
#include "base/error.h"
#include "supervisor/dbus/bus_loop.h"

namespace bulkhead::supervisor {

// Sends `call` and waits for its answer, at most `deadline`. The answer may be a D-Bus error: see
// sd_bus_message_is_method_error(); a deadline that passes and a connection that ends are such answers too,
// made by sd-bus. Errors: only when the call could not be sent or nothing was heard at all.
[[nodiscard]] boost::asio::awaitable<Result<Message>> ask(BusLoop& loop, Message call,
                                                          std::chrono::microseconds deadline);

// A call of the bus daemon itself with one string argument: GetNameOwner, GetConnectionUnixUser, ...
[[nodiscard]] boost::asio::awaitable<Result<Message>> ask_bus_daemon(BusLoop& loop, const char* member,
                                                                     std::string argument);

// Who sent `message`, as the bus daemon knows it: unique names are never used twice, so the answer can't be
// about somebody else. Errors: Denied when the daemon can't say (the sender has gone).
[[nodiscard]] boost::asio::awaitable<Result<uid_t>> uid_of_sender(BusLoop& loop, const Message& message);

// "NAME: TEXT" of an error answer, worded as GLib does for its users.
[[nodiscard]] std::string error_text(const Message& answer);

}  // namespace bulkhead::supervisor
