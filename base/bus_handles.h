// Owners of sd-bus objects. None of their destructors blocks (sd_bus_flush_close_unref would).
// Threads: sd-bus objects belong to the control thread.
#pragma once

#include <systemd/sd-bus.h>

#include <memory>

namespace bulkhead {

struct BusDeleter {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
struct SlotDeleter {
  void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};
struct MessageDeleter {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};

using BusHandle = std::unique_ptr<sd_bus, BusDeleter>;
using Slot =
    std::unique_ptr<sd_bus_slot, SlotDeleter>;  // an export, a match or a pending call; undone when it dies
using Message = std::unique_ptr<sd_bus_message, MessageDeleter>;

// Keeps a message that sd-bus lent to a callback, to answer it later.
[[nodiscard]] inline Message keep(sd_bus_message* message) {
  return Message(sd_bus_message_ref(message));
}

// For sd-bus's out parameters: sd_bus_add_object(bus, Out(slot), ...).
template <class Handle>
class Out {
 public:
  explicit Out(Handle& handle) : handle_(handle) {}
  Out(const Out&) = delete;
  Out& operator=(const Out&) = delete;
  ~Out() { handle_.reset(raw_); }
  operator typename Handle::pointer *() { return &raw_; }  // NOLINT: the whole point

 private:
  Handle& handle_;
  typename Handle::pointer raw_ = nullptr;
};

// An error that a reply carries; frees what sd-bus put into it.
class BusError {
 public:
  BusError() = default;
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  ~BusError() { sd_bus_error_free(&error_); }
  [[nodiscard]] sd_bus_error* get() { return &error_; }
  [[nodiscard]] const char* text() const {
    return error_.message != nullptr ? error_.message : "no reason given";
  }

 private:
  sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

}  // namespace bulkhead
