#include "supervisor/dbus/device_properties.h"

#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "supervisor/dbus/append.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::array<const char*, kCommandKinds> kKindNames = {"read", "write", "flush", "unmap", "other"};
static_assert(static_cast<std::size_t>(CommandKind::Other) + 1 == kKindNames.size());

using Counts = std::map<std::string, std::uint64_t>;

template <std::uint64_t KindCounts::* Count>
Counts by_kind(const DeviceReport& report) {
  Counts counts;
  for (std::size_t kind = 0; kind < kCommandKinds; ++kind)
    counts.emplace(kKindNames[kind], report.kinds[kind].*Count);
  return counts;
}

Counts latency(const DeviceReport& report) {
  const LatencySummary& us = report.latency;
  return {{"p50", us.p50}, {"p90", us.p90},           {"p99", us.p99},          {"p99.9", us.p999},
          {"max", us.max}, {"host_p50", us.host_p50}, {"host_p99", us.host_p99}};
}
const std::string& hba(const DeviceReport& report) {
  return report.key.hba;
}
const std::string& name(const DeviceReport& report) {
  return report.key.name;
}

template <auto Member>
decltype(auto) value(const DeviceReport& report) {
  if constexpr (std::is_member_object_pointer_v<decltype(Member)>)
    return (report.*Member);
  else
    return Member(report);
}

template <auto Member>
int get(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* view,
        sd_bus_error*) noexcept {
  return append(reply, value<Member>(static_cast<DeviceView*>(view)->report_for_client()));
}

template <auto Operation>
int call(sd_bus_message* message, void* view, sd_bus_error*) noexcept {
  static_cast<DeviceView*>(view)->operate(message, std::mem_fn(Operation));
  return 1;
}

int set_limits(sd_bus_message* message, void* view, sd_bus_error*) noexcept {
  DeviceLimits limits;
  const int r = sd_bus_message_read(message, "tt", &limits.iops, &limits.bytes_per_second);
  if (r < 0) return r;
  static_cast<DeviceView*>(view)->operate(message, [limits](ServiceModel& model, DeviceKey key) {
    return model.set_limits(std::move(key), limits);
  });
  return 1;
}

int reset_limits(sd_bus_message* message, void* view, sd_bus_error*) noexcept {
  static_cast<DeviceView*>(view)->operate(message, [](ServiceModel& model, DeviceKey key) {
    return model.set_limits(std::move(key), std::nullopt);
  });
  return 1;
}

struct Watched {
  const char* property;
  bool (*same)(const DeviceReport&, const DeviceReport&);
};

template <auto Member>
bool same(const DeviceReport& a, const DeviceReport& b) {
  return value<Member>(a) == value<Member>(b);
}

using R = DeviceReport;
constexpr Watched kState[] = {
    {"WWN", same<&R::wwn>},
    {"Config", same<&R::config>},
    {"Size", same<&R::size_bytes>},
    {"BlockSize", same<&R::block_bytes>},
    {"ReadOnly", same<&R::read_only>},
    {"WriteCache", same<&R::write_cache>},
    {"State", same<&R::state>},
    {"StateReason", same<&R::state_reason>},
    {"StateSince", same<&R::state_since_usec>},
    {"HostPid", same<&R::host_pid>},
    {"HostSince", same<&R::host_since_usec>},
    {"HostUid", same<&R::host_uid>},
    {"Restarts", same<&R::restarts>},
    {"Adoptions", same<&R::adoptions>},
    {"Deaths", same<&R::deaths>},
    {"WatchdogKills", same<&R::watchdog_kills>},
    {"LastExit", same<&R::last_exit>},
    {"Sandbox", same<&R::sandbox>},
    {"IoGrants", same<&R::io_grants>},
    {"LimitIops", same<&R::limit_iops>},
    {"LimitBytesPerSecond", same<&R::limit_bytes_per_second>},
    {"LimitsFrom", same<&R::limits_from>},
};
// Left out are OldestCommandUsec, an age, which changes by itself, and LatencyHistograms, which is long: who
// wants it asks.
constexpr Watched kCounters[] = {
    {"InFlight", same<&R::in_flight>},
    {"Commands", same<by_kind<&KindCounts::commands>>},
    {"Bytes", same<by_kind<&KindCounts::bytes>>},
    {"Errors", same<by_kind<&KindCounts::errors>>},
    {"ErrorsBySense", same<&R::errors_by_sense>},
    {"Replayed", same<&R::replayed>},
    {"Expired", same<&R::expired>},
    {"Poisoned", same<&R::poisoned>},
    {"LongestStallUsec", same<&R::longest_stall_usec>},
    {"Throttled", same<&R::throttled>},
    {"ThrottledUsec", same<&R::throttled_usec>},
    {"Aborts", same<&R::aborts>},
    {"Resets", same<&R::resets>},
    {"AbortedCommands", same<&R::aborted_commands>},
    {"GrantedCommands", same<&R::granted>},
    {"LatencyUsec", same<latency>},
    {"HandlerCounters", same<&R::handler_counters>},
};

template <std::size_t N>
std::vector<const char*> changed(const Watched (&watched)[N], const DeviceReport& before,
                                 const DeviceReport& now) {
  std::vector<const char*> names;
  for (const Watched& one : watched)
    if (!one.same(before, now)) names.push_back(one.property);
  return names;
}

const sd_bus_vtable* find_property(const char* name) {
  for (const sd_bus_vtable* entry = kDeviceVtable; entry->type != _SD_BUS_VTABLE_END; ++entry)
    if (entry->type == _SD_BUS_VTABLE_PROPERTY && std::strcmp(entry->x.property.member, name) == 0)
      return entry;
  BULKHEAD_CHECK(!"every watched property is in the vtable");
  return nullptr;
}

constexpr std::uint64_t kEmits = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;
constexpr std::uint64_t kConst = SD_BUS_VTABLE_PROPERTY_CONST;

}  // namespace

// Unprivileged for sd-bus, whose own check would block; operate() asks the bus who the caller is.
constexpr sd_bus_vtable kDeviceVtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Restart", "", "", call<&ServiceModel::restart>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Hold", "", "", call<&ServiceModel::hold>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Resume", "", "", call<&ServiceModel::resume>, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("SetLimits", SD_BUS_ARGS("t", iops, "t", bytes_per_second), SD_BUS_NO_RESULT,
                            set_limits, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("ResetLimits", "", "", reset_limits, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Name", "s", get<name>, 0, kConst),
    SD_BUS_PROPERTY("Hba", "s", get<hba>, 0, kConst),
    SD_BUS_PROPERTY("Subtype", "s", get<&R::subtype>, 0, kConst),
    SD_BUS_PROPERTY("UioMinor", "u", get<&R::uio_minor>, 0, kConst),
    SD_BUS_PROPERTY("Config", "s", get<&R::config>, 0, kEmits),
    SD_BUS_PROPERTY("WWN", "s", get<&R::wwn>, 0, kEmits),
    SD_BUS_PROPERTY("Size", "t", get<&R::size_bytes>, 0, kEmits),
    SD_BUS_PROPERTY("BlockSize", "u", get<&R::block_bytes>, 0, kEmits),
    SD_BUS_PROPERTY("ReadOnly", "b", get<&R::read_only>, 0, kEmits),
    SD_BUS_PROPERTY("WriteCache", "b", get<&R::write_cache>, 0, kEmits),
    SD_BUS_PROPERTY("State", "s", get<&R::state>, 0, kEmits),
    SD_BUS_PROPERTY("StateReason", "s", get<&R::state_reason>, 0, kEmits),
    SD_BUS_PROPERTY("StateSince", "t", get<&R::state_since_usec>, 0, kEmits),
    SD_BUS_PROPERTY("HostPid", "u", get<&R::host_pid>, 0, kEmits),
    SD_BUS_PROPERTY("HostSince", "t", get<&R::host_since_usec>, 0, kEmits),
    SD_BUS_PROPERTY("HostUid", "u", get<&R::host_uid>, 0, kEmits),
    SD_BUS_PROPERTY("Restarts", "t", get<&R::restarts>, 0, kEmits),
    SD_BUS_PROPERTY("Adoptions", "t", get<&R::adoptions>, 0, kEmits),
    SD_BUS_PROPERTY("Deaths", "t", get<&R::deaths>, 0, kEmits),
    SD_BUS_PROPERTY("WatchdogKills", "t", get<&R::watchdog_kills>, 0, kEmits),
    SD_BUS_PROPERTY("LastExit", "s", get<&R::last_exit>, 0, kEmits),
    SD_BUS_PROPERTY("Sandbox", "a{sv}", get<&R::sandbox>, 0, kEmits),
    SD_BUS_PROPERTY("IoGrants", "s", get<&R::io_grants>, 0, kEmits),
    SD_BUS_PROPERTY("LimitIops", "t", get<&R::limit_iops>, 0, kEmits),
    SD_BUS_PROPERTY("LimitBytesPerSecond", "t", get<&R::limit_bytes_per_second>, 0, kEmits),
    SD_BUS_PROPERTY("LimitsFrom", "s", get<&R::limits_from>, 0, kEmits),
    SD_BUS_PROPERTY("InFlight", "u", get<&R::in_flight>, 0, 0),
    SD_BUS_PROPERTY("OldestCommandUsec", "t", get<&R::oldest_command_usec>, 0, 0),
    SD_BUS_PROPERTY("Commands", "a{st}", get<by_kind<&KindCounts::commands>>, 0, 0),
    SD_BUS_PROPERTY("Bytes", "a{st}", get<by_kind<&KindCounts::bytes>>, 0, 0),
    SD_BUS_PROPERTY("Errors", "a{st}", get<by_kind<&KindCounts::errors>>, 0, 0),
    SD_BUS_PROPERTY("ErrorsBySense", "a{st}", get<&R::errors_by_sense>, 0, 0),
    SD_BUS_PROPERTY("Replayed", "t", get<&R::replayed>, 0, 0),
    SD_BUS_PROPERTY("Expired", "t", get<&R::expired>, 0, 0),
    SD_BUS_PROPERTY("Poisoned", "t", get<&R::poisoned>, 0, 0),
    SD_BUS_PROPERTY("LongestStallUsec", "t", get<&R::longest_stall_usec>, 0, 0),
    SD_BUS_PROPERTY("Throttled", "t", get<&R::throttled>, 0, 0),
    SD_BUS_PROPERTY("ThrottledUsec", "t", get<&R::throttled_usec>, 0, 0),
    SD_BUS_PROPERTY("Aborts", "t", get<&R::aborts>, 0, 0),
    SD_BUS_PROPERTY("Resets", "t", get<&R::resets>, 0, 0),
    SD_BUS_PROPERTY("AbortedCommands", "t", get<&R::aborted_commands>, 0, 0),
    SD_BUS_PROPERTY("GrantedCommands", "a{st}", get<&R::granted>, 0, 0),
    SD_BUS_PROPERTY("LatencyUsec", "a{st}", get<latency>, 0, 0),
    SD_BUS_PROPERTY("LatencyHistograms", "a{sa(tt)}", get<&R::latency_histograms>, 0, 0),
    SD_BUS_PROPERTY("HandlerCounters", "a{st}", get<&R::handler_counters>, 0, 0),
    SD_BUS_VTABLE_END,
};

std::vector<const char*> changed_state(const DeviceReport& before, const DeviceReport& now) {
  return changed(kState, before, now);
}

std::vector<const char*> changed_counters(const DeviceReport& before, const DeviceReport& now) {
  return changed(kCounters, before, now);
}

int append_property(sd_bus_message* to, const char* name, DeviceView& view) {
  return find_property(name)->x.property.get(nullptr, nullptr, nullptr, name, to, &view, nullptr);
}

const char* property_signature(const char* name) {
  return find_property(name)->x.property.signature;
}

}  // namespace bulkhead::supervisor
