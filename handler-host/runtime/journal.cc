#include "handler-host/runtime/journal.h"

#include <fmt/format.h>

#include <string>

namespace bulkhead::host {
namespace {

constexpr std::size_t kLongestLine = 2000;

}  // namespace

void Journal::log(handler::LogLevel level, std::string_view text) {
  const auto missed = limit_.admit();
  if (!missed) return;
  lost_ += *missed;
  control::Log& line = *message_.mutable_log();
  line.set_level(static_cast<std::uint32_t>(level));
  line.mutable_text()->assign(text.substr(0, kLongestLine));
  if (lost_ != 0) line.mutable_text()->append(fmt::format(" (and {} lines before it were left out)", lost_));
  lost_ = control_.try_send(message_) ? 0 : lost_ + 1;
}

}  // namespace bulkhead::host
