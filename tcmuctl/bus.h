// tcmuctl's side of the bus: blocking calls with deadlines, answers as JSON. Needs no privilege to read.
// A supervisor that is not running is not started by being asked.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bus_handles.h"
#include "tcmuctl/failure.h"

namespace bulkhead::tcmuctl {

class Bus {
 public:
  // `address` as D-Bus writes it; "" for the system bus.
  [[nodiscard]] static Outcome<Bus> open(const std::string& address);

  // The answer's values: one value by itself, several as an array. Dictionaries are objects, so their keys
  // must be strings or object paths; variants are what they contain.
  using Arguments = std::vector<std::variant<std::string, std::uint64_t>>;
  [[nodiscard]] Outcome<nlohmann::json> call(const std::string& destination, const std::string& path,
                                             const std::string& interface, const std::string& member,
                                             const Arguments& arguments = {},
                                             std::chrono::seconds deadline = std::chrono::seconds(5));

  // Takes the name and gives it back: does the bus's policy let this user own it? Errors: nobody can tell.
  [[nodiscard]] Outcome<bool> may_own(const std::string& name);

 private:
  explicit Bus(BusHandle bus) : bus_(std::move(bus)) {}
  BusHandle bus_;
};

// Exposed for tests: the values that are left in `message`.
[[nodiscard]] Outcome<nlohmann::json> to_json(sd_bus_message* message);

}  // namespace bulkhead::tcmuctl
