// The live table: reads, prints, waits, until the user ends it.
#pragma once

#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include "tcmuctl/service.h"
#include "tcmuctl/views.h"

namespace bulkhead::tcmuctl {

struct WatchOptions {
  std::chrono::milliseconds interval{1000};
  unsigned rounds = 0;    // 0: until interrupted
  bool terminal = false;  // redraw in place; else one table below the other
};

// `read` may fail for a while (the supervisor is being restarted): its text is shown in the table's place.
// `screen` is asked before each round: windows change their size. Ends with Success when interrupted (SIGINT,
// SIGTERM) or when the rounds are over and the last one succeeded; with that one's failure otherwise.
[[nodiscard]] Outcome<> watch(const WatchOptions& options, const std::function<Outcome<Inventory>()>& read,
                              const std::function<Screen()>& screen, std::FILE* out);

}  // namespace bulkhead::tcmuctl
