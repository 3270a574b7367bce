// Golden texts of what the commands print, and what they make of a supervisor's answer.
#include "tcmuctl/views.h"

#include <gtest/gtest.h>

#include "tcmuctl/watch.h"

namespace bulkhead::tcmuctl {
namespace {

Device device(const std::string& key, const std::string& state) {
  Device one;
  one.key = key;
  one.name = key.substr(key.find('/') + 1);
  one.subtype = "file";
  one.state = state;
  one.size = 1073741824;
  one.block_size = 512;
  one.config = "file//srv/" + one.name + ".img";
  one.host_pid = 4242;
  one.commands = {{"read", 100}, {"write", 50}};
  one.bytes = {{"read", 409600}, {"write", 204800}};
  return one;
}

TEST(ListView, IsOneLineADevice) {
  Device broken = device("user_2/backup", "failed");
  broken.host_pid = 0;
  broken.restarts = 12;
  EXPECT_EQ(list_view({device("user_1/d0", "serving"), broken}, {}),
            "DEVICE         HANDLER  STATE     SIZE  HOST  RESTARTS  IN FLIGHT  CONFIG\n"
            "user_1/d0      file     serving  1 GiB  4242         0          0  file//srv/d0.img\n"
            "user_2/backup  file     failed   1 GiB     -        12          0  file//srv/backup.img\n");
}

TEST(ShowView, TellsEverything) {
  Device one = device("user_1/d0", "recovering");
  one.state_reason = "its host was killed by SIGKILL";
  one.state_since = 1700000000000000;
  one.wwn = "00c0ffee";
  one.write_cache = true;
  one.uio_minor = 3;
  one.host_uid = 61001;
  one.host_since = 1699999990000000;
  one.restarts = 2;
  one.adoptions = 1;
  one.last_exit = "killed by SIGKILL";
  one.sandbox = {{"seccomp", "on"}, {"memory-limit", "on: 1024 MiB"}, {"landlock", "missing: old kernel"}};
  one.in_flight = 7;
  one.oldest_command_usec = 900;
  one.errors = {{"read", 1}, {"write", 0}};
  one.errors_by_sense = {{"medium error", 1}};
  one.latency_usec = {{"p50", 80},   {"p99", 400},     {"p99.9", 900},
                      {"max", 5000}, {"host_p50", 60}, {"host_p99", 300}};
  one.deaths = 2;
  one.watchdog_kills = 1;
  one.replayed = 5;
  one.poisoned = 1;
  one.expired = 3;
  one.longest_stall_usec = 31000;
  one.limit_iops = 100;
  one.limit_bytes_per_second = 2 << 20;
  one.throttled = 12;
  one.throttled_usec = 34000;
  one.aborts = 3;
  one.resets = 1;
  one.aborted_commands = 4;
  one.io_grants = "granted";
  one.granted = {{"flush", 3}, {"in vain", 2}, {"read", 11}, {"write", 12}};
  one.handler_counters = {{"punched_bytes", 4096}};
  EXPECT_EQ(show_view(one, 1700000005000000, {}),
            "         Device: user_1/d0\n"
            "          State: recovering: its host was killed by SIGKILL\n"
            "          Since: 2023-11-14 22:13:20 UTC (5 s ago)\n"
            "        Handler: file\n"
            "         Config: file//srv/d0.img\n"
            "            WWN: 00c0ffee\n"
            "           Size: 1 GiB (1073741824 bytes), blocks of 512 bytes\n"
            "           Mode: read and write, write cache on\n"
            "  Kernel device: /dev/uio3\n"
            "           Host: pid 4242, uid 61001, since 2023-11-14 22:13:10 UTC (15 s ago)\n"
            "       Restarts: 2, hosts died 2, of these hung 1\n"
            "      Adoptions: 1\n"
            "      Last exit: killed by SIGKILL\n"
            "        Sandbox: memory-limit (1024 MiB), seccomp\n"
            " does not stand: landlock (missing: old kernel)\n"
            "      In flight: 7, the oldest for 900 us\n"
            "       Commands: read 100, write 50\n"
            "          Bytes: read 400 KiB, written 200 KiB\n"
            "         Errors: read 1\n"
            "       by sense: medium error 1\n"
            "        Latency: p50 80 us, p99 400 us, p99.9 900 us, longest 5 ms\n"
            "    in the host: p50 60 us, p99 300 us\n"
            "     I/O grants: granted\n"
            "       by grant: flush 3, in vain 2, read 11, write 12\n"
            "       Replayed: 5, given up as poison 1, as too old 3\n"
            "  Longest stall: 31 ms\n"
            "         Limits: 100 commands/s, 2 MiB/s; 12 commands had to wait, 34 ms in all\n"
            "         Aborts: 3, resets 1, commands aborted 4\n"
            " By the handler: punched_bytes 4096\n");
}

TEST(WatchView, ShowsRatesBetweenTwoLooks) {
  Device before = device("user_1/d0", "serving");
  Device now = before;
  now.commands["read"] += 24690;
  now.bytes["read"] += 24690ull * 4096;
  now.in_flight = 16;
  before.latency_histograms = {{"all", {{9000, 1000}}}, {"host", {{8000, 1000}}}};
  now.latency_histograms = {{"all", {{80, 20000}, {400, 4690}, {9000, 1000}}},
                            {"wait", {{1, 24690}}},
                            {"host", {{60, 20000}, {300, 4690}, {8000, 1000}}}};
  EXPECT_EQ(
      watch_view({before}, {now}, 2'000'000, {}),
      "DEVICE     STATE    READS/S  WRITES/S        READ  WRITTEN  IN FLIGHT       P50 / P99      WAITING"
      "     IN THE HOST  BY GRANT  ERRORS  RESTARTS  REASON\n"
      "user_1/d0  serving    12.3k         0  48.2 MiB/s    0 B/s         16  80 us / 400 us  1 us / 1 us"
      "  60 us / 300 us         -       0         0\n");
}

TEST(WatchView, HasNoRatesForANewDeviceNorAfterASupervisorsRestart) {
  Device fresh = device("user_1/new", "starting");
  Device before = device("user_1/d0", "serving");
  Device restarted = before;
  restarted.commands["read"] = 0;
  std::string text = watch_view({before}, {fresh, restarted}, 1'000'000, {});
  EXPECT_NE(text.find("user_1/new  starting        -         -"), std::string::npos) << text;
  EXPECT_NE(text.find("user_1/d0   serving         -         0"), std::string::npos) << text;
}

TEST(HandlersView, ShowsProblems) {
  Handler file{.subtype = "file",
               .name = "files",
               .config_description = "",
               .library = "/l/handler_file.so",
               .bus_name = "",
               .problem = "",
               .properties = {}};
  Handler qcow = file;
  qcow.subtype = "qcow";
  qcow.problem = "/l/handler_qcow.so: no such file";
  Handler glfs = file;
  glfs.subtype = "glfs";
  glfs.bus_name = ":1.42";
  EXPECT_EQ(handlers_view({file, qcow, glfs}, {}),
            "HANDLER  STATE   SERVED BY           ABOUT\n"
            "file     usable  /l/handler_file.so  files\n"
            "qcow     broken  /l/handler_file.so  /l/handler_qcow.so: no such file\n"
            "glfs     usable  process :1.42       files\n");
}

TEST(InventoryOf, TakesWhatIsThereAndOfTheRightType) {
  Inventory inventory = inventory_of(nlohmann::json::parse(R"({
    "/org/kernel/TCMUDevices1/user_1/d0": {"org.kernel.TCMUService1.Device1": {"Hba": "user_1", "Name": "d0",
       "State": 7, "Size": "big", "InFlight": 3, "Commands": {"read": 5, "write": "x"}, "FromTheFuture": [1]}},
    "/org/kernel/TCMUDevices1/x": {"org.example.Other": {}}})"));
  ASSERT_EQ(inventory.devices.size(), 1u);
  EXPECT_EQ(inventory.devices[0].key, "user_1/d0");
  EXPECT_EQ(inventory.devices[0].state, "");
  EXPECT_EQ(inventory.devices[0].size, 0u);
  EXPECT_EQ(inventory.devices[0].in_flight, 3u);
  EXPECT_EQ(inventory.devices[0].commands, (Counts{{"read", 5}}));
  EXPECT_TRUE(inventory_of(nlohmann::json(7)).devices.empty());
}

TEST(FindDevice, ByNameOrByKeyAndSaysWhenThatIsAmbiguous) {
  Inventory inventory{
      {device("user_1/d0", "serving"), device("user_1/d1", "serving"), device("user_2/d0", "serving")}, {}};
  EXPECT_EQ(find_device(inventory, "d1")->key, "user_1/d1");
  EXPECT_EQ(find_device(inventory, "user_2/d0")->key, "user_2/d0");
  EXPECT_EQ(find_device(inventory, "d0").error().code, ExitCode::Ambiguous);
  EXPECT_EQ(find_device(inventory, "d0").error().text,
            "several devices are called 'd0', say which: user_1/d0, user_2/d0");
  EXPECT_EQ(find_device(inventory, "d9").error().code, ExitCode::NotFound);
}

TEST(JsonText, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(json_text("a\xff"), "\"a\xef\xbf\xbd\"\n");
}

class Output {
 public:
  ~Output() {
    std::fclose(file);
    std::free(text);
  }
  std::string read() {
    std::fflush(file);
    return std::string(text, size);
  }
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* file = ::open_memstream(&text, &size);
};

TEST(Watch, PrintsOneTableARoundAndEnds) {
  Output out;
  int reads = 0;
  auto read = [&]() -> Outcome<Inventory> {
    ++reads;
    return Inventory{{device("user_1/d0", "serving")}, {}};
  };
  WatchOptions options{.interval = std::chrono::milliseconds(1), .rounds = 2, .terminal = false};
  EXPECT_TRUE(watch(options, read, [] { return Screen{}; }, out.file).has_value());
  EXPECT_EQ(reads, 2);
  std::string text = out.read();
  EXPECT_EQ(text.find('\033'), std::string::npos);
  EXPECT_NE(text.find("\n\nDEVICE"), std::string::npos);
}

TEST(Watch, ShowsTheFailureAndGoesOn) {
  Output out;
  int reads = 0;
  auto read = [&]() -> Outcome<Inventory> {
    if (++reads == 1) return std::unexpected(Failure{ExitCode::NotRunning, "not running"});
    return Inventory{{device("user_1/d0", "serving")}, {}};
  };
  WatchOptions options{.interval = std::chrono::milliseconds(1), .rounds = 2, .terminal = true};
  EXPECT_TRUE(watch(options, read, [] { return Screen{}; }, out.file).has_value());
  EXPECT_EQ(out.read().find("\033[H\033[2Jnot running\n\033[H\033[2JDEVICE"), 0u);
}

}  // namespace
}  // namespace bulkhead::tcmuctl
