// Which walls of the sandbox stand, as the supervisor is told (control.proto, Opened).
//
// Threads: one at a time. Names are those that operators see; all of them are in walls.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace bulkhead::host {

struct Wall {
  std::string_view name;
  std::string state;  // "on", "off", "not asked", "missing: REASON"
};

class Walls {
 public:
  // All of them, "off".
  Walls();

  void stands(std::string_view name);
  // The handler's manifest does not want it, e.g. the network namespace of a handler that needs the network.
  void not_asked(std::string_view name);
  // This kernel, or what surrounds us, does not let us put it up.
  void missing(std::string_view name, std::string_view reason);

  [[nodiscard]] const std::vector<Wall>& all() const { return walls_; }
  [[nodiscard]] std::string_view state(std::string_view name) const;
  // Errors: Denied, naming the first of `required` that is neither on nor unasked for, or is none.
  [[nodiscard]] Result<> check(std::span<const std::string> required) const;

 private:
  void set(std::string_view name, std::string state);
  std::vector<Wall> walls_;
};

}  // namespace bulkhead::host
