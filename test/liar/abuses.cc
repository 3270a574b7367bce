#include "test/liar/abuses.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>

namespace bulkhead::test {
namespace {

using channel::CompletionEntry;
using channel::CompletionsHeader;

// Against the optimizer.
volatile std::uint64_t turns = 0;

[[noreturn]] void spin() {
  for (;;) turns = turns + 1;
}

[[noreturn]] void take_memory() {
  constexpr std::size_t kPart = std::size_t{4} << 20;
  for (;;)
    if (void* part = std::malloc(kPart); part != nullptr) std::memset(part, 1, kPart);
}

// They do nothing, for longer than the scenario lasts: it is their number that is to be refused.
void start_threads() {
  int started = 0;
  try {
    for (;; ++started) std::thread([] { std::this_thread::sleep_for(std::chrono::hours(24)); }).detach();
  } catch (const std::system_error& refused) {
    std::fprintf(stderr, "liar: after %d threads: %s\n", started, refused.what());
  }
}

void leak_descriptors() {
  int last = -1;
  for (int fd = 0; (fd = ::dup(STDIN_FILENO)) >= 0;) last = fd;
  std::fprintf(stderr, "liar: after descriptor %d: %s\n", last, std::strerror(errno));
}

void fill_channel(const SharedMemory& memory) {
  const auto* header = reinterpret_cast<const CompletionsHeader*>(memory.completions);
  const std::size_t bytes = sizeof(CompletionsHeader) + header->slots * sizeof(CompletionEntry);
  std::uint64_t random = 1;
  for (std::size_t i = 0; i < bytes; ++i) {
    random = random * 6364136223846793005 + 1442695040888963407;
    memory.completions[i] = static_cast<std::byte>(random >> 56);
  }
  ring(doorbells());
}

// A host has the memory mapped, but no descriptor of it: of what changes a file's size, this is left.
void grow_memory(const SharedMemory& memory) {
  constexpr std::size_t kMore = std::size_t{1} << 30;
  void* more = ::mremap(memory.completions, channel::kPage, kMore, MREMAP_MAYMOVE);
  if (more == MAP_FAILED) {
    std::fprintf(stderr, "liar: to map more of the channel: %s\n", std::strerror(errno));
    std::abort();
  }
  std::memset(more, 1, kMore);
}

void write_on(std::span<std::byte> buffer) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (int value = 0; std::chrono::steady_clock::now() < until; ++value)
    std::memset(buffer.data(), value, buffer.size());
}

}  // namespace

bool commit(Abuse abuse, std::uint64_t block, std::span<std::byte> buffer, const SharedMemory& memory) {
  switch (abuse) {
    case Abuse::TakesMemory:
      take_memory();
    case Abuse::StartsThreads:
      start_threads();
      return false;
    case Abuse::StartsAProcess:
      (void)::fork();
      return false;
    case Abuse::Spins:
      spin();
    case Abuse::NeverAnswers:
      return true;
    case Abuse::FillsTheChannel:
      fill_channel(memory);
      return true;
    case Abuse::LeaksDescriptors:
      leak_descriptors();
      return false;
    case Abuse::GrowsMemory:
      grow_memory(memory);
      return true;
    case Abuse::RingsWithoutEnd:
      // So that nobody can say it hangs.
      complete(memory, honest_answer(memory, block));
      for (const auto bells = doorbells();;) ring(bells);
    case Abuse::AnswersEarly:
      complete(memory, honest_answer(memory, block));
      write_on(buffer);
      // Its own count of answers is wrong from now on.
      std::abort();
    case Abuse::Count:
      break;
  }
  return false;
}

}  // namespace bulkhead::test
