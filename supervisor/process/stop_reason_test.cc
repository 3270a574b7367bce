// A real bus, and on it an object that answers as systemd does (org.freedesktop.systemd1(5)).
#include "supervisor/process/stop_reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "base/bus_handles.h"
#include "base/unique_fd.h"
#include "supervisor/dbus/testing/private_bus.h"

namespace bulkhead::supervisor {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr pid_t kOurPid = 4711;
constexpr const char* kUnit = "/org/freedesktop/systemd1/unit/tcmu_2dsupervisor_2eservice";
constexpr const char* kJob = "/org/freedesktop/systemd1/job/77";

class FakeSystemd {
 public:
  // `job_type` empty: the unit has no job.
  FakeSystemd(const std::string& address, std::string job_type) : job_type_(std::move(job_type)) {
    sd_bus* bus = nullptr;
    EXPECT_GE(sd_bus_new(&bus), 0);
    bus_.reset(bus);
    EXPECT_GE(sd_bus_set_address(bus, address.c_str()), 0);
    EXPECT_GE(sd_bus_set_bus_client(bus, 1), 0);
    EXPECT_GE(sd_bus_start(bus), 0);
    add("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", kManager);
    add(kUnit, "org.freedesktop.systemd1.Unit", kUnitTable);
    add(kJob, "org.freedesktop.systemd1.Job", kJobTable);
    EXPECT_GE(sd_bus_request_name(bus, "org.freedesktop.systemd1", 0), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeSystemd() {
    stop_ = true;
    thread_.join();
  }
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;

 private:
  void add(const char* path, const char* interface, const sd_bus_vtable* table) {
    EXPECT_GE(sd_bus_add_object_vtable(bus_.get(), nullptr, path, interface, table, this), 0);
  }
  void serve() {
    while (!stop_)
      if (sd_bus_process(bus_.get(), nullptr) == 0) sd_bus_wait(bus_.get(), 20'000);
  }
  static int unit_by_pid(sd_bus_message* call, void*, sd_bus_error* error) noexcept {
    std::uint32_t pid = 0;
    sd_bus_message_read(call, "u", &pid);
    if (pid != kOurPid)
      return sd_bus_error_set(error, "org.freedesktop.systemd1.NoUnitForPID",
                              "PID does not belong to any unit");
    return sd_bus_reply_method_return(call, "o", kUnit);
  }
  static int job(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* self,
                 sd_bus_error*) noexcept {
    const bool none = static_cast<FakeSystemd*>(self)->job_type_.empty();
    return sd_bus_message_append(reply, "(uo)", none ? 0u : 77u, none ? "/" : kJob);
  }
  static int job_type(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* self,
                      sd_bus_error*) noexcept {
    return sd_bus_message_append(reply, "s", static_cast<FakeSystemd*>(self)->job_type_.c_str());
  }

  static constexpr sd_bus_vtable kManager[] = {
      SD_BUS_VTABLE_START(0),
      SD_BUS_METHOD("GetUnitByPID", "u", "o", unit_by_pid, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END};
  static constexpr sd_bus_vtable kUnitTable[] = {
      SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("Job", "(uo)", job, 0, 0), SD_BUS_VTABLE_END};
  static constexpr sd_bus_vtable kJobTable[] = {
      SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("JobType", "s", job_type, 0, 0), SD_BUS_VTABLE_END};

  const std::string job_type_;
  BusHandle bus_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class StopReasonTest : public ::testing::Test {
 protected:
  Result<std::string> ask(const std::string& job_type, pid_t pid = kOurPid) {
    const FakeSystemd systemd(bus.address(), job_type);
    return ask_job_type(bus.address(), pid, 10s);
  }
  PrivateBus bus{BusPolicy::Permissive};
};

TEST_F(StopReasonTest, ARestartOfTheUnitIsTold) {
  const auto job = ask("restart");
  ASSERT_TRUE(job) << job.error().what;
  EXPECT_EQ(*job, "restart");
  EXPECT_EQ(stop_reason(job), StopReason::Restart);
}

TEST_F(StopReasonTest, AStopOfTheUnitIsTold) {
  const auto job = ask("stop");
  ASSERT_TRUE(job) << job.error().what;
  EXPECT_EQ(*job, "stop");
  EXPECT_EQ(stop_reason(job), StopReason::Stop);
}

TEST_F(StopReasonTest, ASignalByHandHasNoJobAndIsAStop) {
  const auto job = ask("");
  ASSERT_TRUE(job) << job.error().what;
  EXPECT_EQ(*job, "");
  EXPECT_EQ(stop_reason(job), StopReason::Stop);
}

TEST_F(StopReasonTest, AProcessThatIsNoUnitsIsAStop) {
  const auto job = ask("restart", kOurPid + 1);
  ASSERT_FALSE(job);
  EXPECT_THAT(job.error().what, HasSubstr("PID does not belong to any unit"));
  EXPECT_EQ(stop_reason(job), StopReason::Stop);
}

TEST_F(StopReasonTest, ABusWithoutSystemdIsAStop) {
  const auto job = ask_job_type(bus.address(), kOurPid, 10s);
  ASSERT_FALSE(job);
  EXPECT_EQ(stop_reason(job), StopReason::Stop);
}

TEST_F(StopReasonTest, WithoutABusItIsAStopAtOnce) {
  bus.kill();
  EXPECT_EQ(stop_reason(ask_job_type(bus.address(), kOurPid, 10s)), StopReason::Stop);
}

// Takes connections, as its kernel does it for the daemon, and says nothing.
TEST(StopReason, ABusDaemonThatHangsCostsNoMoreThanTheLimit) {
  const std::string path = "/tmp/bulkhead-silent-bus-" + std::to_string(::getpid());
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  const auto begun = std::chrono::steady_clock::now();
  const auto job = ask_job_type("unix:path=" + path, kOurPid, 100ms);
  ::unlink(path.c_str());
  ASSERT_FALSE(job);
  EXPECT_EQ(job.error().cause, Cause::TimedOut);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST(StopReason, OtherJobsDontBringUsBack) {
  for (const char* job : {"start", "verify-active", "reload", "nop", "", "Restart", "restart-later"})
    EXPECT_EQ(stop_reason(std::string(job)), StopReason::Stop) << job;
  EXPECT_EQ(stop_reason(std::string("try-restart")), StopReason::Restart);
}

}  // namespace
}  // namespace bulkhead::supervisor
