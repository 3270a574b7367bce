// What the commands print. Pure: values in, text out; `now_usec` is CLOCK_REALTIME.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tcmuctl/service.h"
#include "tcmuctl/text_table.h"

namespace bulkhead::tcmuctl {

struct Screen {
  std::size_t width = 0;  // 0: unlimited
  Colors colors = Colors::Off;
};

[[nodiscard]] std::string list_view(const std::vector<Device>& devices, const Screen& screen);
[[nodiscard]] std::string handlers_view(const std::vector<Handler>& handlers, const Screen& screen);
[[nodiscard]] std::string show_view(const Device& device, std::uint64_t now_usec, const Screen& screen);
// Rates and latencies over `elapsed_usec` between two readings. A device that was not there before, or whose
// counters went back because they were counted anew, has no rates yet, and its latencies are those of all its
// commands.
[[nodiscard]] std::string watch_view(const std::vector<Device>& before, const std::vector<Device>& now,
                                     std::uint64_t elapsed_usec, const Screen& screen);

// {"device": "user_1/d0", and every property as it came}
[[nodiscard]] nlohmann::json device_json(const Device& device);
// Two blanks a level, invalid UTF-8 replaced, a newline at the end.
[[nodiscard]] std::string json_text(const nlohmann::json& value);

}  // namespace bulkhead::tcmuctl
