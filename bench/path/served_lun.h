// One LUN on a pump with a handler-host of its own, without the device's state machine around it.
//
// Threads: the control thread; what the pump tells is told on the pump's.
#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/device/host_session.h"
#include "supervisor/device/start_gate.h"
#include "supervisor/pump/data_path.h"
#include "supervisor/pump/pump.h"

namespace bulkhead::bench {

struct LunParts {
  std::span<std::byte> region;
  const UniqueFd* uio;
  std::move_only_function<void()> kick;
  std::string host_program;
  std::string library;
  std::uint32_t host_uid;
  std::string subtype;
  std::string config;
  std::uint64_t bytes;
  std::chrono::microseconds busy_poll{0};
  bool grants = false;                      // as io_grants in tcmu.conf
  supervisor::StartGate* starts = nullptr;  // whose turn it is; nullptr: ours
};

class ServedLun final : public supervisor::PumpClient,
                        private supervisor::DataPath::Events,
                        private supervisor::HostSession::Owner {
 public:
  // Returns when the host serves. Everything pointed to by `parts` outlives the LUN, as do `io` and `pump`.
  [[nodiscard]] static Result<std::unique_ptr<ServedLun>> serve(boost::asio::io_context& io,
                                                                supervisor::Pump& pump, LunParts parts);
  // The same for many at once: goes on while others are started.
  [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<ServedLun>>> start(
      boost::asio::io_context& io, supervisor::Pump& pump, LunParts parts);
  // Takes it off the pump and ends the host.
  ~ServedLun() override;
  [[nodiscard]] pid_t host() const { return session_->pid(); }
  // Grants are wanted, and the host has not offered one yet: that comes while `io` runs.
  [[nodiscard]] bool awaits_grant() const { return parts_.grants && !offer_; }

 private:
  ServedLun(supervisor::Pump& pump, supervisor::CommandRing ring,
            std::shared_ptr<supervisor::Journal> journal, LunParts parts);
  [[nodiscard]] static Result<std::unique_ptr<ServedLun>> prepare(supervisor::Pump& pump, LunParts parts);
  [[nodiscard]] boost::asio::awaitable<Result<>> start_host(boost::asio::io_context& io);
  [[nodiscard]] Result<> put_on_pump(std::unique_ptr<supervisor::Channel> channel);
  void apply_grant();

  // PumpClient
  supervisor::DataPath& path() override { return path_; }
  const UniqueFd& uio() override { return *parts_.uio; }
  void device_gone() override {}
  // DataPath::Events
  void host_broke_rule(std::string_view rule) override;
  void ring_broken(const Error& error) override;
  void took(const supervisor::InFlightCommand&) override {}
  void poisoned(const supervisor::InFlightCommand&) override {}
  void task_management(const supervisor::AbortedTasks&) override {}
  void idle() override {}
  void busy() override {}
  // HostSession::Owner
  boost::asio::awaitable<Result<UniqueFd>> host_asks_file(supervisor::FileAsked asked) override;
  boost::asio::awaitable<Result<control::Identity>> host_asks_identity() override;
  void host_facts(const supervisor::HostFacts&) override {}
  void host_offers_grant(const supervisor::GrantOffer& offer) override;
  void host_counter(std::string_view, std::uint64_t) override {}
  void host_ended(const std::string& how) override;

  supervisor::Pump& pump_;
  LunParts parts_;
  std::shared_ptr<supervisor::Journal> journal_;
  supervisor::DataPath path_;
  std::shared_ptr<supervisor::HostSession> session_;
  UniqueFd opened_;                        // what the host was given, for us
  std::shared_ptr<const UniqueFd> image_;  // what a grant goes by
  bool image_in_memory_ = false;
  bool image_is_disk_ = false;
  std::optional<supervisor::GrantOffer> offer_;
  bool on_pump_ = false;
};

}  // namespace bulkhead::bench
