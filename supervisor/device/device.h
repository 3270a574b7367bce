// One TCMU device: keeps a host in front of it for as long as the kernel has it.
//
// One coroutine, live(), brings the device up, watches its host, replaces it, and takes the device down.
// Everything else asks it: requests wait in a queue that live() works off, so no two things ever happen to a
// host at once. Threads: the control thread, but for the callbacks of DataPath::Events and PumpClient, which
// the pump makes and which only post. Lifetime: shared with live(); ends when live() has returned and the
// manager has let go.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "base/rate_limit.h"
#include "proto/handler.pb.h"
#include "supervisor/broker/file_opener.h"
#include "supervisor/config/device_settings.h"
#include "supervisor/configfs/blocking_pool.h"
#include "supervisor/device/host_session.h"
#include "supervisor/device/kernel_device.h"
#include "supervisor/device/lun_keeper.h"
#include "supervisor/device/request_queue.h"
#include "supervisor/device/start_gate.h"
#include "supervisor/device/wake.h"
#include "supervisor/device/watchdog.h"
#include "supervisor/journal/journal.h"
#include "supervisor/keeper/kept_lun.h"
#include "supervisor/model/service_model.h"
#include "supervisor/netlink/reply_desk.h"
#include "supervisor/pump/data_path.h"
#include "supervisor/pump/pump.h"
#include "supervisor/spawn/cgroups.h"

namespace bulkhead::supervisor {

struct HostSettings {
  std::string binary;          // of tcmu-handler-host
  std::uint32_t uid_base = 0;  // hosts run as uid_base + 1 + minor; 0: as ourselves
  std::string dev_folder = "/dev";
};

// What all devices share; outlives them.
struct DeviceContext {
  boost::asio::io_context& io;
  BlockingPool& pool;   // for configfs
  BlockingPool& files;  // for backing files
  const SysRoot& root;
  const Cgroups& cgroups;
  const HostSettings& hosts;
  const DevicePolicies& policies;  // may change between two calls
  ServiceObserver& observer;
  const FdStore& store;
  ImageClaims& images;  // of all devices
  StartGate& starts;
};

class DeviceRecord;

// What a device's handler is, from the manifest.
struct DeviceHandler {
  HandlerManifest manifest;
  std::string library;  // absolute path
};

class Device final : public std::enable_shared_from_this<Device>,
                     private PumpClient,
                     private DataPath::Events,
                     private HostSession::Owner {
 public:
  Device(DeviceContext context, Pump& pump, UioDevice uio, DeviceHandler handler);
  ~Device() override;

  // The whole life; returns when the device is taken down. `added`: the kernel's wait for our verdict on a
  // fresh device. A fresh device that can't be served is given up, with the error as the verdict; a used one
  // is retried for ever.
  // `kept`: what systemd kept of it when an earlier supervisor ended; its host and its commands are gone on
  // with, if that is possible.
  boost::asio::awaitable<void> live(KernelDeviceAge age, PendingReply added, std::optional<KeptLun> kept);
  // The event of a device that was found before its event was read: its reply counts from now on. False: the
  // verdict has been given already.
  bool take_over_wait(PendingReply& added);
  // After live(): it was a fresh device that could not be served.
  [[nodiscard]] bool given_up() const { return given_up_; }

  enum class Leave : std::uint8_t {
    Removed,  // the kernel is taking the device away: flush and let go
    Stopped,  // we go, the device stays: its commands are finished, later ones get BUSY
  };
  // Ends live(). At once while a host is being started; otherwise after an orderly close with deadlines.
  void leave(Leave how);
  // We end and the next supervisor begins: hosts go on. Nothing may be asked of this object any more.
  void leave_running();

  // context.policies has changed.
  void take_new_policies();

  boost::asio::awaitable<Result<>> restart();
  boost::asio::awaitable<Result<>> hold();
  boost::asio::awaitable<Result<>> resume();
  // Errors: BadInput, for more than can be counted.
  Result<> set_limits(std::optional<DeviceLimits> limits);
  // The kernel's RECONFIG events. What changes nothing is no error.
  boost::asio::awaitable<Result<>> resize(std::uint64_t size_bytes);
  boost::asio::awaitable<Result<>> set_write_cache(bool on);
  boost::asio::awaitable<Result<>> reconfigure(std::string dev_config);

  [[nodiscard]] const DeviceKey& key() const { return key_; }
  [[nodiscard]] const UioDevice& uio_device() const { return uio_; }
  [[nodiscard]] DeviceReport report() const;

 private:
  using Time = std::chrono::steady_clock::time_point;

  // device.cc: the life; device_host.cc: its present host; device_kernel_side.cc: what concerns the kernel
  boost::asio::awaitable<Result<>> bring_up();
  boost::asio::awaitable<Result<>> open_kernel_side();
  boost::asio::awaitable<Result<>> start_host();
  boost::asio::awaitable<Result<>> introduce(control::Start start, HostEnds ends, StartGate::Turn turn);
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<void> pause_before_retry();
  boost::asio::awaitable<void> work_off_requests();
  boost::asio::awaitable<void> lose_host();
  boost::asio::awaitable<bool> close_host();
  boost::asio::awaitable<void> host_gone(Time give_up);
  boost::asio::awaitable<void> take_down();
  boost::asio::awaitable<bool> close_kernel_side();
  boost::asio::awaitable<void> settle_for_stop();
  boost::asio::awaitable<void> unblock();
  // Runs work on the pump and comes back. Name the work in a local first: GCC 12 frees temporaries of a
  // co_await expression twice.
  boost::asio::awaitable<void> pump_do(std::move_only_function<void()> work);
  boost::asio::awaitable<void> take_channel_away();
  void serving_now();
  void drop_host();
  void ask_witness();
  boost::asio::awaitable<void> reopen_ring();
  void failed(const Error& error);
  void make_path(const CommandRing& ring);

  // device_adoption.cc
  boost::asio::awaitable<Result<>> adopt(KeptLun kept);
  boost::asio::awaitable<void> adopt_host(KeptLun kept, std::uint64_t question_id);
  boost::asio::awaitable<void> greet_adopted_host();
  boost::asio::awaitable<void> give_up_adoption(const Error& error);
  boost::asio::awaitable<void> keep_kernel_side();
  boost::asio::awaitable<void> keep_host(ChannelFds channel);
  void save_record();
  void restore(const DeviceRecord& record);

  // device_watch.cc
  boost::asio::awaitable<void> watch();
  boost::asio::awaitable<std::optional<Time>> look();
  boost::asio::awaitable<void> judge_host(std::shared_ptr<HostSession> host, Watchdog::Verdict verdict,
                                          PathLook seen);
  boost::asio::awaitable<void> dump_host(pid_t pid);
  boost::asio::awaitable<void> read_command_timeout();
  void set_wait_limits();
  [[nodiscard]] RateLimits rate_limits() const;
  void tell_expired();
  void doom_host(std::string why);
  boost::asio::awaitable<void> keep_commands_from_host(bool keep);

  // device_grants.cc
  void take_grant_anew();
  boost::asio::awaitable<void> open_grant();
  [[nodiscard]] const char* grant_refusal() const;
  [[nodiscard]] std::string kind_of_grant() const;
  void apply_grant();
  void show_grant_state(std::string state);
  boost::asio::awaitable<void> pause_grant(bool pause);

  // device_requests.cc
  boost::asio::awaitable<Result<>> ask(bool needs_host, RequestQueue::Work work);
  [[nodiscard]] Error busy_error() const;  // it can't be done now
  boost::asio::awaitable<Result<>> do_restart();
  boost::asio::awaitable<Result<>> do_hold(bool on);
  boost::asio::awaitable<Result<>> do_resize(std::uint64_t size_bytes);
  boost::asio::awaitable<Result<>> do_write_cache(bool on);
  boost::asio::awaitable<Result<>> do_reconfigure(std::string dev_config);

  void fire(DeviceEvent event, std::string reason);
  void changed();
  [[nodiscard]] bool write_cache_is(bool on) const;
  [[nodiscard]] LogFields log_fields() const;
  [[nodiscard]] std::chrono::seconds open_limit() const;  // of a host's open, resize and the like
  [[nodiscard]] std::chrono::seconds close_limit() const;
  [[nodiscard]] std::string handler_config() const;  // dev_config after its subtype
  [[nodiscard]] ChannelSize channel_size() const;
  [[nodiscard]] std::uint32_t host_uid() const;
  [[nodiscard]] std::string leaf_name() const;
  // device_walls.cc
  [[nodiscard]] HostLimits host_limits() const;
  [[nodiscard]] std::vector<std::string> host_arguments() const;
  [[nodiscard]] std::chrono::microseconds busy_poll() const;
  [[nodiscard]] Result<> check_walls(const UniqueFd& pidfd, const Walls& told);
  boost::asio::awaitable<Result<UniqueFd>> make_leaf();
  boost::asio::awaitable<void> limit_again();
  [[nodiscard]] control::Start start_message() const;
  [[nodiscard]] control::Open open_message() const;

  // DataPath::Events and PumpClient: the pump's thread
  DataPath& path() override { return *path_; }
  const UniqueFd& uio() override { return kernel_->uio; }
  void device_gone() override;
  void host_broke_rule(std::string_view rule) override;
  void ring_broken(const Error& error) override;
  void took(const InFlightCommand& command) override;
  void poisoned(const InFlightCommand& command) override;
  void task_management(const AbortedTasks& tasks) override;
  void idle() override;
  void busy() override;

  // HostSession::Owner
  boost::asio::awaitable<Result<UniqueFd>> host_asks_file(FileAsked asked) override;
  boost::asio::awaitable<Result<control::Identity>> host_asks_identity() override;
  void host_facts(const HostFacts& facts) override;
  void host_offers_grant(const GrantOffer& offer) override;
  void host_counter(std::string_view name, std::uint64_t value) override;
  void host_ended(const std::string& how) override;

  DeviceContext context_;
  Pump& pump_;
  const DeviceKey key_;
  const std::string label_;  // key_ as text
  UioDevice uio_;
  const DeviceHandler handler_;
  FileOpener files_;
  const LunKeeper keeper_;
  std::shared_ptr<DeviceStats> stats_ = std::make_shared<DeviceStats>();  // its writer is the pump

  std::optional<KernelDevice> kernel_;
  std::shared_ptr<Journal> journal_;  // shared with path_ and stats_
  std::unique_ptr<DataPath> path_;    // the pump's, once added: not to be looked into from here
  bool path_on_pump_ = false;         // work on it may be posted
  bool attached_ = false;             // a host has a channel to it
  KernelDeviceAge age_ = KernelDeviceAge::Used;
  PendingReply added_;     // owed until the verdict
  bool accepted_ = false;  // the verdict was good, or nobody waits for one
  bool blocked_ = false;   // new commands get BUSY
  bool unblock_failed_ = false;
  bool ring_broken_ = false;  // the ring must be opened anew
  bool ever_served_ = false;
  bool adopted_host_ = false;     // the present host was started by an earlier supervisor
  std::uint64_t adoptions_ = 0;   // supervisors that have gone on with a host of this device
  bool write_cache_set_ = false;  // the kernel's attribute has been changed since we serve the device
  bool write_cache_off_ = false;  // by an initiator or an administrator: a fresh host must be told
  std::string unit_state_;        // what the last host told its successor
  std::shared_ptr<const UniqueFd> witness_;  // of the file that the host writes to
  std::optional<GrantOffer> offer_;          // the present host's
  std::shared_ptr<const UniqueFd> granted_;  // the file that goes with it; shared with the pump
  bool granted_in_memory_ = false;
  bool granted_disk_ = false;
  bool opening_grant_ = false;
  static constexpr const char* kNoGrant = "none: the handler offers none";
  std::string grant_state_ = kNoGrant;  // as operators see it
  bool writes_lost_ = false;            // a fresh host must be told
  bool ask_at_end_ = false;             // the witness, whatever the present host owes then
  bool given_up_ = false;

  std::shared_ptr<HostSession> host_;    // shared with its coroutines
  std::optional<std::string> host_end_;  // set when the process is gone
  bool host_doomed_ = false;             // it was killed, and will be gone sooner or later
  Wake wake_;                            // live()'s
  Wake idle_wake_;
  bool idle_ = false;
  RequestQueue requests_;  // for live()
  std::optional<Leave> leaving_;
  bool held_ = false;
  std::optional<DeviceLimits> limits_;  // instead of tcmu.conf's
  unsigned failures_ = 0;               // deaths and failed starts since the device last served for a while
  std::chrono::steady_clock::time_point serving_since_;

  Watchdog watchdog_;
  Wake watch_wake_;  // watch()'s
  bool watch_over_ = false;
  bool new_work_ = false;  // busy() came
  std::uint64_t expired_told_ = 0;
  std::uint64_t deaths_ = 0, watchdog_kills_ = 0;
  RateLimit slow_lines_{3, std::chrono::seconds(60)};
  RateLimit expired_lines_{3, std::chrono::seconds(10)};

  DeviceState state_ = DeviceState::Discovered;
  std::string state_reason_;
  std::uint64_t state_since_usec_ = 0;
  std::uint64_t host_since_usec_ = 0;
  std::uint64_t hosts_started_ = 0;
  std::string last_exit_;
  Walls told_walls_;  // by the present host
  Walls sandbox_;     // around it: its limits, then all of them
  std::string wwn_;
  unsigned serial_looks_ = 0;
  HostFacts facts_;
  std::map<std::string, std::uint64_t, std::less<>> counters_;
  RateLimit abort_lines_{5, std::chrono::seconds(10)};
};

}  // namespace bulkhead::supervisor
