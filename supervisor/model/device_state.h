// The life of a device, as data: docs, D-Bus and the log all speak of these states and edges.
// Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace bulkhead::supervisor {

enum class DeviceState : std::uint8_t {
  Discovered,  // known to the kernel, nothing done yet
  Starting,    // its first host is being started or is opening the backstore
  Serving,
  Held,        // an operator holds its commands back
  Recovering,  // its host died; the next one is being started, commands wait
  Failed,      // no host could be started or could open; retried for ever, commands wait
  Removing,
};

enum class DeviceEvent : std::uint8_t {
  Begin,
  HostReady,
  HostDied,    // or could not be started, or could not open
  HostGaveUp,  // the same once too often
  Hold,
  Resume,
  Remove,
};

struct DeviceEdge {
  DeviceState from;
  DeviceEvent on;
  DeviceState to;
};

inline constexpr std::array kDeviceEdges{
    DeviceEdge{DeviceState::Discovered, DeviceEvent::Begin, DeviceState::Starting},
    DeviceEdge{DeviceState::Starting, DeviceEvent::HostReady, DeviceState::Serving},
    DeviceEdge{DeviceState::Starting, DeviceEvent::HostDied, DeviceState::Failed},
    DeviceEdge{DeviceState::Serving, DeviceEvent::HostDied, DeviceState::Recovering},
    DeviceEdge{DeviceState::Serving, DeviceEvent::Hold, DeviceState::Held},
    DeviceEdge{DeviceState::Held, DeviceEvent::Resume, DeviceState::Serving},
    DeviceEdge{DeviceState::Held, DeviceEvent::HostDied, DeviceState::Recovering},
    DeviceEdge{DeviceState::Recovering, DeviceEvent::HostReady, DeviceState::Serving},
    DeviceEdge{DeviceState::Recovering, DeviceEvent::HostDied, DeviceState::Recovering},
    DeviceEdge{DeviceState::Recovering, DeviceEvent::HostGaveUp, DeviceState::Failed},
    DeviceEdge{DeviceState::Failed, DeviceEvent::HostReady, DeviceState::Serving},
    DeviceEdge{DeviceState::Failed, DeviceEvent::HostDied, DeviceState::Failed},
    DeviceEdge{DeviceState::Discovered, DeviceEvent::Remove, DeviceState::Removing},
    DeviceEdge{DeviceState::Starting, DeviceEvent::Remove, DeviceState::Removing},
    DeviceEdge{DeviceState::Serving, DeviceEvent::Remove, DeviceState::Removing},
    DeviceEdge{DeviceState::Held, DeviceEvent::Remove, DeviceState::Removing},
    DeviceEdge{DeviceState::Recovering, DeviceEvent::Remove, DeviceState::Removing},
    DeviceEdge{DeviceState::Failed, DeviceEvent::Remove, DeviceState::Removing},
};

// nullopt: no such edge; the caller logs state, event and device, and drops the event.
[[nodiscard]] constexpr std::optional<DeviceState> next(DeviceState from, DeviceEvent on) {
  for (const DeviceEdge& edge : kDeviceEdges)
    if (edge.from == from && edge.on == on) return edge.to;
  return std::nullopt;
}
static_assert(next(DeviceState::Serving, DeviceEvent::HostDied) == DeviceState::Recovering);
static_assert(!next(DeviceState::Discovered, DeviceEvent::HostReady));

[[nodiscard]] constexpr std::string_view to_string(DeviceState state) {
  switch (state) {
    case DeviceState::Discovered:
      return "discovered";
    case DeviceState::Starting:
      return "starting";
    case DeviceState::Serving:
      return "serving";
    case DeviceState::Held:
      return "held";
    case DeviceState::Recovering:
      return "recovering";
    case DeviceState::Failed:
      return "failed";
    case DeviceState::Removing:
      return "removing";
  }
  return "unknown";
}

[[nodiscard]] constexpr std::string_view to_string(DeviceEvent event) {
  switch (event) {
    case DeviceEvent::Begin:
      return "begin";
    case DeviceEvent::HostReady:
      return "host ready";
    case DeviceEvent::HostDied:
      return "host died";
    case DeviceEvent::HostGaveUp:
      return "host gave up";
    case DeviceEvent::Hold:
      return "hold";
    case DeviceEvent::Resume:
      return "resume";
    case DeviceEvent::Remove:
      return "remove";
  }
  return "unknown";
}

}  // namespace bulkhead::supervisor
