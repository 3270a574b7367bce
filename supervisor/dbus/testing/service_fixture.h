// The bus layer as the supervisor runs it, on a thread of its own, over a model that a test writes.
#pragma once

#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/dbus/bus_service.h"

namespace bulkhead::supervisor {

// Touched on the service's thread only: by the bus layer, and by tests through ServiceFixture::run().
class FakeModel final : public ServiceModel {
 public:
  std::vector<HandlerReport> handler_list;
  std::map<DeviceKey, DeviceReport> device_map;
  ConfigVerdict verdict{true, "success"};
  Result<> operation_outcome;
  std::vector<std::string> calls;  // "check file /x root", "restart user_1/d0", ...
  int reports_made = 0;

  [[nodiscard]] std::vector<HandlerReport> handlers() const override { return handler_list; }
  [[nodiscard]] std::vector<DeviceKey> devices() const override;
  [[nodiscard]] std::optional<DeviceReport> device(const DeviceKey& key) const override;
  boost::asio::awaitable<ConfigVerdict> check_config(std::string subtype, std::string config,
                                                     CallerRights rights) override;
  boost::asio::awaitable<Result<>> restart(DeviceKey key) override { return note("restart", std::move(key)); }
  boost::asio::awaitable<Result<>> hold(DeviceKey key) override { return note("hold", std::move(key)); }
  boost::asio::awaitable<Result<>> resume(DeviceKey key) override { return note("resume", std::move(key)); }
  boost::asio::awaitable<Result<>> set_limits(DeviceKey key, std::optional<DeviceLimits> limits) override {
    return note(limits ? fmt::format("limit to {} and {}", limits->iops, limits->bytes_per_second)
                       : "reset limits of",
                std::move(key));
  }

 private:
  boost::asio::awaitable<Result<>> note(std::string what, DeviceKey key);
};

class ServiceFixture : private BusEvents {
 public:
  explicit ServiceFixture(const std::string& address,
                          std::chrono::microseconds forward_deadline = std::chrono::seconds(24),
                          std::chrono::microseconds authorization_deadline = std::chrono::seconds(60));
  ~ServiceFixture() override;

  void start();  // to be called once the model is filled
  // Runs `work` on the service's thread and waits for it.
  void run(const std::function<void()>& work);
  template <class T>
  T ask(const std::function<T()>& question) {
    T answer{};
    run([&] { answer = question(); });
    return answer;
  }
  // Waits until the name has been acquired `times` times in all; false after ten seconds.
  bool wait_until_acquired(int times = 1);
  // Waits for the first refusal; its text, empty after ten seconds.
  std::string wait_until_refused();

  FakeModel model;
  BusService& service() { return service_; }

 private:
  void name_acquired() override;
  void name_refused(const Error& error) override;

  boost::asio::io_context io_;  // first: coroutines that never ended die with it, last
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  BusService service_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int acquired_ = 0;
  std::string refusal_;
  std::thread thread_;
};

// A model with the handlers file and qcow, as most tests want it.
std::vector<HandlerReport> two_handlers();
// A device with a value in every field.
DeviceReport busy_device(const std::string& hba, const std::string& name);

}  // namespace bulkhead::supervisor
