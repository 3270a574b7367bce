// The life of a handler-host after lock-down: greet, load the handler, then open and serve, or check and
// leave.
//
// Threads: the loop thread, all of it.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "handler-host/api/handler.h"
#include "handler-host/channel/host_channel.h"
#include "handler-host/lockdown/lockdown.h"
#include "handler-host/runtime/control_client.h"
#include "handler-host/runtime/device_services.h"
#include "handler-host/runtime/event_loop.h"
#include "handler-host/runtime/exit_code.h"
#include "handler-host/runtime/identity_client.h"
#include "handler-host/runtime/journal.h"

namespace bulkhead::host {

class Host {
 public:
  // `plan` and `walls`: what lock_down() was given and what it told.
  // `busy_poll`: see ServerParts.
  Host(std::unique_ptr<EventLoop> loop, UniqueFd control, LockdownPlan plan, Walls walls,
       std::chrono::microseconds busy_poll);

  // Where the supervisor breaks a rule, falls silent or is gone before serving began, the process ends here.
  [[nodiscard]] ExitCode run();

 private:
  void greet();
  void begin(Received start);
  [[nodiscard]] Received next_message(const char* waiting_for);
  [[nodiscard]] ExitCode open_and_serve(const control::Open& open);
  [[nodiscard]] ExitCode check(const control::Check& check);
  [[nodiscard]] ExitCode refuse_open(std::uint64_t id, const Error& error);
  [[nodiscard]] Result<std::unique_ptr<handler::Device>> open_device(const control::Open& open,
                                                                     const std::string& config);
  [[nodiscard]] std::string handler_config(const std::string& config);
  void tighten_walls();
  void send(const control::Message& message);

  std::unique_ptr<EventLoop> loop_;
  ControlClient control_;
  const LockdownPlan plan_;
  Walls walls_;
  const std::chrono::microseconds busy_poll_;
  Journal journal_;
  DeviceServices services_;
  IdentityClient identity_;
  std::string subtype_;
  Result<const handler::Module*> module_ = nullptr;  // an error is told when it is asked for
  std::optional<HostChannel> channel_;
};

}  // namespace bulkhead::host
