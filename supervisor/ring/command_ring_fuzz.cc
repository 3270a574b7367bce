// The kernel's ring as arbitrary bytes: nothing outside of the region is touched, every walk ends. So too
// when other bytes lie where commands were, as after a reset.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "supervisor/ring/command_ring.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bulkhead;
  using namespace bulkhead::supervisor;
  std::vector<std::uint64_t> storage((size + 7) / 8);
  auto region = std::as_writable_bytes(std::span(storage)).first(size);
  if (size != 0) std::memcpy(region.data(), data, size);
  JournalCursors cursors{};
  auto ring = CommandRing::attach(region, cursors);
  if (!ring) return 0;
  std::vector<KernelSegment> segments(size / sizeof(KernelSegment) + 1);
  std::vector<CmdId> taken;
  // A ring of n bytes holds at most n / 8 entries; more than that is a loop.
  for (std::size_t i = 0; i < size; ++i) {
    auto entry = ring->peek();
    if (!entry || std::holds_alternative<std::monostate>(*entry)) break;
    if (const auto* request = std::get_if<RingTaskManagement>(&*entry)) {
      for (std::size_t id = 0; id < request->size(); ++id) (void)request->id(id);
      ring->step_over();
      continue;
    }
    const auto& command = std::get<RingCommand>(*entry);
    ring->take(command, segments);
    taken.push_back(command.id);
    if (taken.size() != 3) continue;
    if (data[size - 1] % 2 != 0)
      std::reverse_copy(data + 128, data + size, reinterpret_cast<std::uint8_t*>(region.data()) + 128);
    for (const CmdId id : taken) ring->answer({.id = id, .scsi_status = 0, .sense = {}, .read_len = 8});
    ring->publish();
    taken.clear();
  }
  return 0;
}
