// A real handler-host process and a supervisor's hand on it, for tests.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/control_socket.h"
#include "base/unique_fd.h"
#include "handler-host/runtime/testing/channel_peer.h"
#include "proto/control.pb.h"

namespace bulkhead::host {

inline constexpr std::uint32_t kTestSlots = 32;
inline constexpr std::uint64_t kTestData = 4 << 20;

struct HostEnd {
  bool exited = false;  // else it was killed by `code`
  int code = 0;
  std::string stderr_text;
  bool operator==(const HostEnd&) const = default;
};
void PrintTo(const HostEnd& end, std::ostream* to);

class HostProcess {
 public:
  using Kind = control::Message::KindCase;

  explicit HostProcess(std::vector<std::string> arguments = {"tcmu-host: test/d0", "--threads"});
  // Kills what is left.
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  void send(const control::Message& message, std::vector<int> fds = {});
  void send_bytes(const std::string& bytes);
  // The next message that is no Log and no Counters, which are kept. Files asked for meanwhile are opened, as
  // the broker does. A message with no kind set: none came in time, or the host is gone.
  control::Message next(std::chrono::milliseconds limit = std::chrono::seconds(20));
  // The next message of this kind; a test failure if another one comes. DeviceFacts may come at any time, and
  // are kept.
  control::Message expect(Kind kind);

  // Hello was read; sends Start for handler `subtype`, with a channel unless told otherwise.
  void start(const std::string& subtype);
  void start_without_channel(const std::string& subtype);
  // start(), Open, and what comes until DeviceFacts. The failure's text; empty: it serves.
  std::string open(const std::string& subtype, const std::string& config, std::uint64_t size_bytes,
                   std::uint32_t block_bytes = 512);
  // Close, Done; the failure's text.
  std::string close();
  void hang_up() { socket_.reset(); }
  // As when the supervisor dies and somebody has kept its end of the socket: what was read is lost with it.
  void lose_supervisor();
  // The next one's first message, and what comes until it is answered.
  void adopt();
  void kill();

  // Runs one command in slot 0 and returns its SCSI status; 255: no answer.
  int execute(const channel::Slot& slot);

  // Waits for the process to end.
  HostEnd wait_end();
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] ChannelPeer& channel() { return *channel_; }

  std::vector<std::string> log_lines;
  control::Counters counters;
  control::DeviceFacts facts;
  std::optional<control::IoGrant> grant;                                        // offered last
  std::function<control::Message(const control::OpenFile&, UniqueFd&)> opener;  // in place of opening it
  bool answer_files = true;
  bool answer_identity = true;
  std::string unit_state;    // what open() hands on from an earlier host
  bool writes_lost = false;  // open() says so
  std::string unit_serial = "00112233-4455-6677-8899-aabbccddeeff";

  std::string library_folder;  // where start() finds handlers; empty: where Bazel puts them
  [[nodiscard]] std::string library(const std::string& subtype) const;

 private:
  void answer_open(const control::OpenFile& request);
  [[nodiscard]] bool keep(const control::Message& message);

  pid_t pid_ = -1;
  UniqueFd socket_;
  UniqueFd stderr_;
  std::optional<ChannelPeer> channel_;
  std::uint64_t id_ = 0;
  std::uint32_t generation_ = 0;
};

}  // namespace bulkhead::host
