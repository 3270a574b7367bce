// Serving: the loop between channel, control socket and handler, until the device is closed or the supervisor
// gone.
//
// Threads: the loop thread, all of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/busy_poll.h"
#include "handler-host/api/handler.h"
#include "handler-host/channel/host_channel.h"
#include "handler-host/runtime/commands.h"
#include "handler-host/runtime/control_client.h"
#include "handler-host/runtime/device_services.h"
#include "handler-host/runtime/event_loop.h"
#include "handler-host/runtime/exit_code.h"
#include "handler-host/runtime/grants.h"
#include "handler-host/runtime/identity_client.h"
#include "handler-host/runtime/journal.h"
#include "handler-host/scsi/logical_unit.h"

namespace bulkhead::host {

// What serving needs; all of it outlives the server.
struct ServerParts {
  EventLoop& loop;
  ControlClient& control;
  Journal& journal;
  DeviceServices& services;
  IdentityClient& identity;
  HostChannel& channel;
  handler::Device& device;
  scsi::LogicalUnit& unit;
  ByteCount size;
  std::uint32_t block_bytes;
  std::uint32_t largest_transfer_bytes;
  std::chrono::microseconds busy_poll{
      0};  // how long to look for the next command before a sleep; 0: not at all
};

class Server {
 public:
  explicit Server(const ServerParts& parts);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Tells the device's facts, then serves. Returns when no command is under way and the device has been
  // flushed and closed. Where the supervisor breaks a rule, or commands do not end, the process ends here.
  [[nodiscard]] ExitCode run();

 private:
  enum class Phase : std::uint8_t { Serving, Closing, SupervisorGone };

  void serve_round();
  void sleep();
  void end_if_too_late();
  void doorbell_rang(std::uint32_t events);
  void read_control();
  void handle(const control::Message& message);
  void resize(const control::Resize& request);
  void set_write_cache(const control::SetWriteCache& request);
  void manage_tasks(const control::TaskManagement& request);
  void adopt(const control::Adopt& request);
  void begin_end(Phase phase);
  [[nodiscard]] bool finished() const;
  [[nodiscard]] ExitCode close_device();
  void answer(std::uint64_t id, const Result<>& result);
  [[nodiscard]] control::Message facts() const;
  void tell_facts();
  void offer_grant();
  // An initiator may switch the write cache too (MODE SELECT), and many a command changes what the next host
  // must know. To be called before completions are published.
  void tell_changed_facts();
  void send(const control::Message& message);

  ServerParts parts_;
  Commands commands_;
  Grants grants_;
  Phase phase_ = Phase::Serving;
  std::uint64_t close_id_ = 0;
  bool told_write_cache_ = false;
  scsi::LogicalUnit::State told_state_{};
  EventLoop::Clock::time_point end_by_{};
  bool drained_ = false;  // the latest round found no submission
  unsigned rounds_without_poll_ = 0;
  BusyPoll for_commands_;
};

}  // namespace bulkhead::host
