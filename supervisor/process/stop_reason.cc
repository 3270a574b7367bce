#include "supervisor/process/stop_reason.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "base/bus_handles.h"

namespace bulkhead::supervisor {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kNoJob = "/";

// A short conversation with an end.
class Conversation {
 public:
  explicit Conversation(std::chrono::milliseconds limit) : deadline_(steady_clock::now() + limit) {}

  Result<> connect(const std::string& address) {
    int r = sd_bus_new(Out(bus_));
    if (r >= 0) r = sd_bus_set_address(bus_.get(), address.c_str());
    if (r >= 0) r = sd_bus_set_bus_client(bus_.get(), 1);
    if (r >= 0) r = sd_bus_start(bus_.get());
    // sd_bus_call() would wait for the authentication as long as sd-bus likes.
    while (r >= 0 && sd_bus_is_ready(bus_.get()) == 0) {
      r = sd_bus_process(bus_.get(), nullptr);
      if (r == 0 && left() == 0) r = -ETIMEDOUT;
      if (r == 0) r = sd_bus_wait(bus_.get(), left());
      if (r == -EINTR) r = 0;
    }
    if (r < 0) return fail_errno(-r, fmt::format("connect to the message bus at {}", address));
    return {};
  }

  Result<std::string> unit_of(pid_t pid) {
    Message call, answer;
    int r = sd_bus_message_new_method_call(bus_.get(), Out(call), kSystemd, "/org/freedesktop/systemd1",
                                           "org.freedesktop.systemd1.Manager", "GetUnitByPID");
    if (r >= 0) r = sd_bus_message_append(call.get(), "u", static_cast<std::uint32_t>(pid));
    if (r < 0) return fail_errno(-r, "ask systemd for our unit");
    auto sent = send("GetUnitByPID", call, answer);
    if (!sent) return std::unexpected(std::move(sent.error()));
    const char* path = nullptr;
    r = sd_bus_message_read(answer.get(), "o", &path);
    if (r < 0) return fail_errno(-r, "systemd's answer to GetUnitByPID");
    return path;
  }

  // The job's path, or kNoJob.
  Result<std::string> job_of(const std::string& unit) {
    Message answer;
    auto got = get(unit, "org.freedesktop.systemd1.Unit", "Job", "(uo)", answer);
    if (!got) return std::unexpected(std::move(got.error()));
    std::uint32_t id = 0;
    const char* path = nullptr;
    const int r = sd_bus_message_read(answer.get(), "(uo)", &id, &path);
    if (r < 0) return fail_errno(-r, "systemd's property Job");
    return id == 0 ? kNoJob : path;
  }

  Result<std::string> type_of(const std::string& job) {
    Message answer;
    auto got = get(job, "org.freedesktop.systemd1.Job", "JobType", "s", answer);
    if (!got) return std::unexpected(std::move(got.error()));
    const char* type = nullptr;
    const int r = sd_bus_message_read(answer.get(), "s", &type);
    if (r < 0) return fail_errno(-r, "systemd's property JobType");
    return type;
  }

 private:
  [[nodiscard]] std::uint64_t left() const {
    const auto rest = std::chrono::duration_cast<microseconds>(deadline_ - steady_clock::now()).count();
    return rest > 0 ? static_cast<std::uint64_t>(rest) : 0;
  }
  Result<> send(const char* what, const Message& call, Message& answer) {
    BusError error;
    // 0 would mean sd-bus's default.
    const int r =
        sd_bus_call(bus_.get(), call.get(), std::max<std::uint64_t>(left(), 1), error.get(), Out(answer));
    if (r < 0) return fail_errno(-r, fmt::format("ask systemd for {}: {}", what, error.text()));
    return {};
  }
  Result<> get(const std::string& path, const char* interface, const char* property, const char* type,
               Message& answer) {
    Message call;
    int r = sd_bus_message_new_method_call(bus_.get(), Out(call), kSystemd, path.c_str(),
                                           "org.freedesktop.DBus.Properties", "Get");
    if (r >= 0) r = sd_bus_message_append(call.get(), "ss", interface, property);
    if (r < 0) return fail_errno(-r, fmt::format("ask systemd for {}", property));
    if (auto sent = send(property, call, answer); !sent) return sent;
    r = sd_bus_message_enter_container(answer.get(), 'v', type);
    if (r < 0) return fail_errno(-r, fmt::format("systemd's property {}", property));
    return {};
  }

  const steady_clock::time_point deadline_;
  BusHandle bus_;
};

}  // namespace

Result<std::string> ask_job_type(const std::string& address, pid_t pid, std::chrono::milliseconds limit) {
  Conversation systemd(limit);
  if (auto connected = systemd.connect(address); !connected)
    return std::unexpected(std::move(connected.error()));
  auto unit = systemd.unit_of(pid);
  if (!unit) return unit;
  auto job = systemd.job_of(*unit);
  if (!job) return job;
  if (*job == kNoJob) return std::string();
  return systemd.type_of(*job);
}

StopReason stop_reason(const Result<std::string>& job_type) {
  if (!job_type) return StopReason::Stop;
  // A job to restart keeps its type until we are gone. try-restart has become restart by then.
  const bool restart = *job_type == "restart" || *job_type == "try-restart";
  return restart ? StopReason::Restart : StopReason::Stop;
}

}  // namespace bulkhead::supervisor
