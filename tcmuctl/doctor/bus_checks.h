// What the doctor finds on the bus. Asking and judging are apart: the judgement is pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tcmuctl/bus.h"
#include "tcmuctl/doctor/finding.h"
#include "tcmuctl/service.h"

namespace bulkhead::tcmuctl {

struct BusFacts {
  std::string no_bus;                      // why there is no bus; empty: there is one
  bool activatable = false;                // the bus knows how to start the service
  std::optional<std::uint32_t> owner_pid;  // of the service's name
  std::string owner_command;
  bool owner_mute = false;  // owns the name but does not answer
  bool denied = false;      // our policy file is not in force
  std::optional<Inventory> inventory;
};

// Blocks, each question for at most 5 s. `address`: as Bus::open.
[[nodiscard]] BusFacts ask_bus(const std::string& address);

[[nodiscard]] Findings check_bus(const BusFacts& facts);
// Handlers that can't be used, devices that are not served.
[[nodiscard]] Findings check_inventory(const BusFacts& facts);

}  // namespace bulkhead::tcmuctl
