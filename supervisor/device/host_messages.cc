#include "supervisor/device/host_messages.h"

#include <cerrno>

#include "proto/channel_abi.h"

namespace bulkhead::supervisor {
namespace {

using control::Message;

constexpr std::uint32_t kProtocolVersion = 1;
constexpr unsigned kMaxRequests = 16;  // of one host's, unanswered
constexpr int kMaxErrno = 4095;
constexpr int kMaxCounters = 64;
constexpr std::size_t kMaxCounterName = 31;
constexpr std::size_t kMaxUnitState = 64;
// All of them fit into the record that the next supervisor gets.
constexpr int kMaxWalls = 24;
constexpr std::size_t kMaxWallName = 31, kMaxWallState = 95;

Result<> result_of(const control::Failure* failure) {
  if (failure == nullptr) return {};
  const int number =
      failure->sys_errno() > 0 && failure->sys_errno() <= kMaxErrno ? failure->sys_errno() : EIO;
  Error error = system_error(number, "");
  error.what = failure->text();
  // These two say that the host itself did not answer.
  if (error.cause == Cause::TimedOut || error.cause == Cause::PeerBroken) error.cause = Cause::Backend;
  return std::unexpected(std::move(error));
}

template <class Answer>
const control::Failure* failure_of(const Answer& answer) {
  return answer.has_failure() ? &answer.failure() : nullptr;
}

}  // namespace

// One supervisor's questions have their upper half in common, so what was recorded may be old.
HostMessages::HostMessages(Listener& listener, std::uint64_t recorded_id)
    : listener_(listener), greeted_(true), next_id_((recorded_id | UINT32_MAX) + 1) {}

void HostMessages::finish_request() {
  BULKHEAD_CHECK(requests_ > 0);
  --requests_;
}

std::uint64_t HostMessages::ask(Message::KindCase answer_kind) {
  questions_.emplace(next_id_, answer_kind);
  return next_id_++;
}

std::string_view HostMessages::take(std::string_view bytes, std::size_t descriptors) {
  if (descriptors != 0) return "descriptors nobody asked for";
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return "a message that can't be parsed";
  if (message.kind_case() == Message::kHello) return take_hello(message.hello());
  if (!greeted_) return "a message before Hello";
  switch (message.kind_case()) {
    case Message::kOpened:
      return take_opened(message.opened());
    case Message::kChecked:
      return take_answer(Message::kChecked, message.checked().id(), failure_of(message.checked()));
    case Message::kDone:
      return take_answer(Message::kDone, message.done().id(), failure_of(message.done()));
    case Message::kOpenFile:
    case Message::kGetIdentity:
      return take_request(message);
    case Message::kLog:
      listener_.said(message.log());
      return {};
    case Message::kDeviceFacts:
      return take_facts(message.device_facts());
    case Message::kIoGrant:
      return take_grant(message.io_grant());
    case Message::kCounters:
      return take_counters(message.counters());
    default:
      return "a message that only the supervisor sends";
  }
}

std::string_view HostMessages::take_hello(const control::Hello& hello) {
  if (greeted_) return "Hello twice";
  if (hello.protocol_version() < kProtocolVersion)
    return "a protocol version we don't speak: install one build";
  if (hello.channel_version() != channel::kChannelVersion)
    return "a channel version we don't speak: install one build";
  greeted_ = true;
  listener_.hello();
  return {};
}

std::string_view HostMessages::take_answer(Message::KindCase kind, std::uint64_t id,
                                           const control::Failure* failure) {
  auto at = questions_.find(id);
  if (at == questions_.end())
    return id < next_id_ ? std::string_view() : "an answer to a question nobody asked";
  if (at->second != kind) return "an answer of the wrong kind";
  questions_.erase(at);
  listener_.answered(id, result_of(failure));
  return {};
}

std::string_view HostMessages::take_opened(const control::Opened& opened) {
  if (opened.walls_size() > kMaxWalls) return "too many walls";
  Walls walls;
  for (const auto& wall : opened.walls()) {
    if (wall.name().empty() || wall.name().size() > kMaxWallName) return "a wall's name is empty or too long";
    walls[wall.name()] = wall.state().substr(0, kMaxWallState);
  }
  if (questions_.contains(opened.id())) listener_.walls(std::move(walls));
  return take_answer(Message::kOpened, opened.id(), failure_of(opened));
}

std::string_view HostMessages::take_request(const Message& message) {
  if (requests_ >= kMaxRequests) return "too many requests at once";
  ++requests_;
  if (message.kind_case() == Message::kOpenFile)
    listener_.file_wanted(message.open_file());
  else
    listener_.identity_wanted(message.get_identity().id());
  return {};
}

std::string_view HostMessages::take_facts(const control::DeviceFacts& facts) {
  if (facts.unit_state().size() > kMaxUnitState) return "a unit state longer than it may be";
  listener_.facts({facts.read_only(), facts.write_cache(), facts.size_bytes(), facts.unit_state()});
  return {};
}

std::string_view HostMessages::take_grant(const control::IoGrant& grant) {
  constexpr std::uint64_t kMostBytes = INT64_MAX;  // what a file's offset can be
  if (grant.number() == 0 || grant.number() > UINT32_MAX >> channel::kGrantBits)
    return "an I/O grant with a number that can't be";
  if (grant.bytes() == 0 || grant.bytes() > kMostBytes || grant.first_byte() > kMostBytes - grant.bytes())
    return "an I/O grant beyond what a file can hold";
  listener_.grant_offered({.number = grant.number(),
                           .first_byte = grant.first_byte(),
                           .bytes = grant.bytes(),
                           .largest_transfer_bytes = grant.largest_transfer_bytes(),
                           .direct = grant.direct(),
                           .nothing_to_flush = grant.nothing_to_flush()});
  return {};
}

std::string_view HostMessages::take_counters(const control::Counters& counters) {
  if (counters.counter_size() > kMaxCounters) return "too many counters";
  for (const auto& counter : counters.counter())
    if (counter.name().empty() || counter.name().size() > kMaxCounterName)
      return "a counter's name is empty or too long";
  for (const auto& counter : counters.counter()) listener_.counter(counter.name(), counter.value());
  return {};
}

}  // namespace bulkhead::supervisor
