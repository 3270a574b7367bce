#include "supervisor/dbus/testing/service_fixture.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <condition_variable>

namespace bulkhead::supervisor {
namespace {
using namespace std::chrono_literals;
}

std::vector<DeviceKey> FakeModel::devices() const {
  std::vector<DeviceKey> keys;
  keys.reserve(device_map.size());
  for (const auto& [key, report] : device_map) keys.push_back(key);
  return keys;
}

std::optional<DeviceReport> FakeModel::device(const DeviceKey& key) const {
  ++const_cast<FakeModel*>(this)->reports_made;
  auto found = device_map.find(key);
  if (found == device_map.end()) return std::nullopt;
  return found->second;
}

boost::asio::awaitable<ConfigVerdict> FakeModel::check_config(std::string subtype, std::string config,
                                                              CallerRights rights) {
  calls.push_back(
      fmt::format("check {} {} {}", subtype, config, rights == CallerRights::Root ? "root" : "anyone"));
  co_return verdict;
}

boost::asio::awaitable<Result<>> FakeModel::note(std::string what, DeviceKey key) {
  calls.push_back(fmt::format("{} {}", what, key.text()));
  co_return operation_outcome;
}

ServiceFixture::ServiceFixture(const std::string& address, std::chrono::microseconds forward_deadline,
                               std::chrono::microseconds authorization_deadline)
    : work_(boost::asio::make_work_guard(io_)),
      service_(io_, model, *this,
               {.address = address,
                .version = "1.2.3",
                .forward_deadline = forward_deadline,
                .authorization_deadline = authorization_deadline}) {}

ServiceFixture::~ServiceFixture() {
  if (!thread_.joinable()) return;
  run([this] { service_.stop(); });
  io_.stop();
  thread_.join();
}

void ServiceFixture::start() {
  thread_ = std::thread([this] { io_.run(); });
  run([this] { service_.start(); });
}

void ServiceFixture::run(const std::function<void()>& work) {
  std::promise<void> done;
  boost::asio::post(io_, [&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

bool ServiceFixture::wait_until_acquired(int times) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, 10s, [&] { return acquired_ >= times; });
}

std::string ServiceFixture::wait_until_refused() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, 10s, [&] { return !refusal_.empty(); });
  return refusal_;
}

void ServiceFixture::name_acquired() {
  std::lock_guard lock(mutex_);
  ++acquired_;
  changed_.notify_all();
}

void ServiceFixture::name_refused(const Error& error) {
  std::lock_guard lock(mutex_);
  refusal_ = fmt::format("{}: {}", to_string(error.cause), error.what);
  changed_.notify_all();
}

std::vector<HandlerReport> two_handlers() {
  HandlerReport file{.subtype = "file",
                     .name = "files and block devices",
                     .config_description = "/path[?options]",
                     .library = "/usr/lib/tcmu-bulkhead/handlers/handler_file.so",
                     .bus_name = "",
                     .problem = ""};
  HandlerReport qcow = file;
  qcow.subtype = "qcow";
  qcow.name = "qcow2 images";
  qcow.config_description = "/path/to/image";
  qcow.library = "/usr/lib/tcmu-bulkhead/handlers/handler_qcow.so";
  return {file, qcow};
}

DeviceReport busy_device(const std::string& hba, const std::string& name) {
  DeviceReport report;
  report.key = {hba, name};
  report.subtype = "file";
  report.config = "file//srv/" + name + ".img";
  report.uio_minor = 3;
  report.wwn = "00c0ffee-0000-4000-8000-000000000001";
  report.size_bytes = 1073741824;
  report.block_bytes = 512;
  report.write_cache = true;
  report.state = DeviceState::Serving;
  report.state_since_usec = 1700000000000001;
  report.host_pid = 4242;
  report.host_since_usec = 1700000000000000;
  report.host_uid = 61001;
  report.restarts = 2;
  report.adoptions = 4;
  report.last_exit = "killed by SIGKILL";
  report.sandbox = {{"landlock", "missing: old kernel"}, {"seccomp", "on"}};
  report.in_flight = 7;
  report.oldest_command_usec = 900;
  report.kinds[0] = {100, 409600, 1};
  report.kinds[1] = {50, 204800, 0};
  report.errors_by_sense = {{"medium error", 1}};
  report.deaths = 6;
  report.watchdog_kills = 1;
  report.replayed = 5;
  report.expired = 8;
  report.poisoned = 9;
  report.longest_stall_usec = 31000;
  report.limit_iops = 100;
  report.limit_bytes_per_second = 10'000'000'000;
  report.limits_from = "tcmu.conf";
  report.throttled = 12;
  report.throttled_usec = 34000;
  report.aborts = 3;
  report.resets = 1;
  report.aborted_commands = 4;
  report.io_grants = "granted";
  report.granted = {{"flush", 3}, {"in vain", 2}, {"read", 11}, {"write", 12}};
  report.latency = {80, 120, 400, 900, 5000, 60, 300};
  report.latency_histograms = {{"all", {{79, 140}, {447, 10}}}, {"wait", {}}};
  report.handler_counters = {{"punched_bytes", 4096}};
  return report;
}

}  // namespace bulkhead::supervisor
