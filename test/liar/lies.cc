#include "test/liar/lies.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/control_socket.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/shared_memory.h"
#include "proto/control.pb.h"

namespace bulkhead::test {
namespace {

using channel::CompletionEntry;
using channel::CompletionsHeader;
using channel::RequestsHeader;
using channel::Slot;

constexpr int kControlSocket = 3;  // handler-host/runtime/main.cc

CompletionsHeader& completions(const SharedMemory& memory) {
  return *reinterpret_cast<CompletionsHeader*>(memory.completions);
}

void say(std::string_view bytes, std::span<const int> fds = {}) {
  const UniqueFd socket(::dup(kControlSocket));
  [[maybe_unused]] const auto sent = send_packet(socket, std::as_bytes(std::span(bytes)), fds);
}

void say(const control::Message& message) {
  say(message.SerializeAsString());
}

bool lie_in_completion(Lie lie, const SharedMemory& memory, CompletionEntry entry) {
  switch (lie) {
    case Lie::SlotThatDoesNotExist:
      entry.slot = 1'000'000;
      break;
    case Lie::SlotNotInFlight:
      // With one command under way, all others are free.
      entry.slot ^= 1;
      break;
    case Lie::StaleGeneration:
      --entry.generation;
      break;
    case Lie::ReservedBits:
      entry.reserved = 1;
      break;
    case Lie::UndefinedStatus:
      entry.scsi_status = 0x77;
      break;
    case Lie::TooMuchSense:
      entry.scsi_status = 0x02;
      entry.sense_bytes = 97;
      break;
    case Lie::SenseWithoutCheckCondition:
      entry.sense_bytes = 18;
      break;
    case Lie::CheckConditionWithoutSense:
      entry.scsi_status = 0x02;
      break;
    case Lie::MoreDataThanAsked:
      entry.data_bytes = 1u << 30;
      break;
    default:
      return false;
  }
  complete(memory, entry);
  return true;
}

bool lie_on_socket(Lie lie) {
  control::Message message;
  switch (lie) {
    case Lie::UnreadableMessage:
      say("\xff\xff\xff\xff no message at all");
      return true;
    case Lie::HelloTwice:
      message.mutable_hello()->set_protocol_version(1);
      message.mutable_hello()->set_channel_version(channel::kChannelVersion);
      say(message);
      return true;
    case Lie::AnswerToNothing:
      message.mutable_done()->set_id(123'456'789);
      say(message);
      return true;
    case Lie::TooLongMessage: {
      // Not by send_packet(), which knows the limit.
      const std::string long_one(100'000, 'x');
      [[maybe_unused]] const ssize_t sent =
          ::send(kControlSocket, long_one.data(), long_one.size(), MSG_NOSIGNAL);
      return true;
    }
    case Lie::Descriptors: {
      message.mutable_log()->set_level(6);
      message.mutable_log()->set_text("a gift");
      const int gift = STDIN_FILENO;
      say(message.SerializeAsString(), std::span(&gift, 1));
      return true;
    }
    case Lie::Flood:
      message.mutable_log()->set_level(6);
      message.mutable_log()->set_text("again");
      // Ends when the supervisor ends us.
      for (;;) say(message);
    case Lie::ClosedSocket:
      ::close(kControlSocket);
      return true;
    default:
      return false;
  }
}

}  // namespace

// Nothing else of ours takes eight bytes without an offset.
std::vector<int> doorbells() {
  std::vector<int> found;
  for (int fd = kControlSocket + 1; fd < 64; ++fd) {
    struct stat facts{};
    if (::fstat(fd, &facts) == 0 && (facts.st_mode & S_IFMT) == 0) found.push_back(fd);  // no file, no pipe
  }
  return found;
}

void ring(std::span<const int> bells) {
  const std::uint64_t one = 1;
  for (const int fd : bells) [[maybe_unused]]
    const ssize_t written = ::write(fd, &one, sizeof one);
}

void complete(const SharedMemory& memory, const CompletionEntry& entry, std::uint32_t claimed) {
  CompletionsHeader& header = completions(memory);
  const std::uint32_t head = load_relaxed(header.completion_head);
  const std::size_t at = sizeof(CompletionsHeader) + (head & (header.slots - 1)) * sizeof(CompletionEntry);
  store_shared(*reinterpret_cast<CompletionEntry*>(memory.completions + at), entry);
  store_release(header.completion_head, head + claimed);
  ring(doorbells());
}

SharedMemory find_channel(const std::byte* data, int probe) {
  constexpr std::uintptr_t kPages = 65536;  // each way: the kernel maps one below the other
  SharedMemory memory;
  const auto look = [&](std::uintptr_t address) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nobody has a pointer to what is looked for
    auto* page = reinterpret_cast<std::byte*>(address);
    // The kernel says which memory there is: EFAULT.
    std::uint64_t magic = 0;
    if (::pwrite(probe, page, sizeof magic, channel::kPage) != sizeof magic) return;
    std::memcpy(&magic, page, sizeof magic);
    if (magic == channel::kRequestsMagic) memory.requests = page;
    if (magic == channel::kCompletionsMagic) memory.completions = page;
  };
  const std::uintptr_t middle = reinterpret_cast<std::uintptr_t>(data) & ~(channel::kPage - 1);
  for (std::uintptr_t i = 0; i < kPages && (memory.requests == nullptr || memory.completions == nullptr);
       ++i) {
    look(middle + i * channel::kPage);
    look(middle - i * channel::kPage);
  }
  BULKHEAD_CHECK(memory.requests != nullptr && memory.completions != nullptr);
  return memory;
}

CompletionEntry honest_answer(const SharedMemory& memory, std::uint64_t block) {
  const auto& header = *reinterpret_cast<const RequestsHeader*>(memory.requests);
  CompletionEntry entry{};
  for (std::uint32_t i = 0; i < header.slots; ++i) {
    Slot slot{};
    std::memcpy(&slot, memory.requests + header.slot_offset + i * sizeof(Slot), sizeof slot);
    const std::span<const std::uint8_t> cdb(slot.cdb);
    if (cdb[0] != 0x28 || be32(cdb.subspan<2, 4>()) != block) continue;
    entry.slot = i;
    entry.generation = slot.generation;
    entry.data_bytes = static_cast<std::uint32_t>(slot.data_bytes);
  }
  return entry;
}

bool tell(Lie lie, std::uint64_t block, const SharedMemory& memory) {
  const CompletionEntry honest = honest_answer(memory, block);
  if (lie_in_completion(lie, memory, honest) || lie_on_socket(lie)) return true;
  switch (lie) {
    case Lie::MoreAnswersThanSlots:
      complete(memory, honest, completions(memory).slots + 1);
      return true;
    case Lie::AnsweredTwice:
      complete(memory, honest);
      complete(memory, honest);
      return true;
    case Lie::WildSleepWord:
      store_relaxed(completions(memory).host_sleep, 0xdeadbeef);
      return false;
    case Lie::FloodedStandardError:
      for (int i = 0; i < 20'000; ++i)
        std::fputs("the host says much on its standard error, line after line\n", stderr);
      return false;
    default:
      return false;
  }
}

}  // namespace bulkhead::test
