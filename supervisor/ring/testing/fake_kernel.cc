#include "supervisor/ring/testing/fake_kernel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/shared_memory.h"

namespace bulkhead::supervisor::testing {
namespace {

constexpr std::uint32_t kRingAt = 128;
constexpr std::uint32_t kBlock = 4096;
constexpr std::uint32_t kPad = 0, kCmd = 1, kTmr = 2;

std::uint32_t round8(std::size_t bytes) {
  return static_cast<std::uint32_t>((bytes + 7) / 8 * 8);
}

}  // namespace

template <class T>
void FakeKernel::put(std::size_t at, T value) {
  std::memcpy(memory_.data() + at, &value, sizeof value);
}
template <class T>
T FakeKernel::get(std::size_t at) {
  T value;
  std::memcpy(&value, memory_.data() + at, sizeof value);
  return value;
}

std::size_t FakeKernel::region_bytes(const Options& options) {
  return kRingAt + options.ring_bytes + std::size_t{options.data_blocks} * kBlock;
}

FakeKernel::FakeKernel(const Options& options) : options_(options), memory_(options.memory) {
  const std::size_t bytes = region_bytes(options);
  if (memory_.empty()) {
    storage_.resize((bytes + 7) / 8);
    memory_ = std::as_writable_bytes(std::span(storage_));
  }
  memory_ = memory_.first(bytes);
  put<std::uint16_t>(0, 2);
  put<std::uint16_t>(2, static_cast<std::uint16_t>(0x1 | (options.read_len ? 0x2 : 0) |
                                                   (options.task_management ? 0x4 : 0) | 0x8));
  put<std::uint32_t>(4, kRingAt);
  put<std::uint32_t>(8, options.ring_bytes);
  for (std::uint32_t block = 0; block < options.data_blocks; ++block) free_blocks_.insert(block);
}

std::uint32_t FakeKernel::used() const {
  return (head_ + options_.ring_bytes - cleaned_) % options_.ring_bytes;
}

bool FakeKernel::make_room(std::uint32_t bytes) {
  const std::uint32_t to_end = options_.ring_bytes - head_;
  const std::uint32_t needed = bytes <= to_end ? bytes : to_end + bytes;
  if (needed > options_.ring_bytes - used() - 1) return false;
  if (bytes > to_end) {
    put<std::uint32_t>(kRingAt + head_, to_end | kPad);
    put<std::uint32_t>(kRingAt + head_ + 4, 0);
    head_ = 0;
  }
  return true;
}

std::optional<std::uint64_t> FakeKernel::queue(std::span<const std::uint8_t> cdb, Data direction,
                                               std::size_t bytes, std::span<const std::uint8_t> data,
                                               std::uint32_t stride) {
  std::lock_guard guard(lock_);
  walk();
  // Choose the blocks first: their neighbourhood decides how many segments the entry has.
  std::vector<std::uint32_t> blocks;
  for (auto it = free_blocks_.begin(); it != free_blocks_.end() && blocks.size() * kBlock < bytes;) {
    blocks.push_back(*it);
    for (std::uint32_t i = 0; i < stride && it != free_blocks_.end(); ++i) ++it;
  }
  if (blocks.size() * kBlock < bytes) return std::nullopt;
  struct Segment {
    std::uint64_t offset, length;
  };
  std::vector<Segment> segments;
  std::size_t left = bytes;
  for (std::uint32_t block : blocks) {
    const std::uint64_t at = kRingAt + options_.ring_bytes + std::uint64_t{block} * kBlock;
    const std::size_t part = std::min<std::size_t>(left, kBlock);
    if (!segments.empty() && segments.back().offset + segments.back().length == at)
      segments.back().length += part;
    else
      segments.push_back({at, part});
    left -= part;
  }
  const std::uint32_t base = std::max<std::uint32_t>(112, round8(48 + segments.size() * 16));
  const std::uint32_t length = base + round8(cdb.size());
  if (!make_room(length)) return std::nullopt;
  std::uint16_t id = 1;
  for (const auto& [used, command] : running_)
    if (used == id) ++id;
  for (std::uint32_t block : blocks) free_blocks_.erase(block);

  const std::size_t at = kRingAt + head_;
  std::memset(memory_.data() + at, 0, length);
  put<std::uint32_t>(at, length | kCmd);
  put<std::uint16_t>(at + 4, id);
  put<std::uint32_t>(at + 8, static_cast<std::uint32_t>(segments.size()));
  put<std::uint64_t>(at + 24, at + base);
  for (std::size_t i = 0; i < segments.size(); ++i) put(at + 48 + i * 16, segments[i]);
  std::memcpy(memory_.data() + at + base, cdb.data(), cdb.size());
  std::size_t copied = 0;
  for (const Segment& segment : segments) {
    if (direction == Data::Out)
      std::memcpy(memory_.data() + segment.offset, data.data() + copied, segment.length);
    else
      std::memset(memory_.data() + segment.offset, 0xee, segment.length);  // an older command's bytes
    copied += segment.length;
  }
  const std::uint64_t ticket = next_ticket_++;
  ids_.emplace(ticket, id);
  running_.emplace(id, Running{ticket, direction, bytes, std::move(blocks)});
  head_ = (head_ + length) % options_.ring_bytes;
  store_release(object_at<std::uint32_t>(memory_, 12), head_);
  return ticket;
}

void FakeKernel::queue_tmr(std::uint8_t function, std::span<const std::uint64_t> tickets) {
  std::lock_guard guard(lock_);
  walk();
  const std::uint32_t length = round8(32 + tickets.size() * 2);
  if (!make_room(length)) return;
  const std::size_t at = kRingAt + head_;
  std::memset(memory_.data() + at, 0, length);
  put<std::uint32_t>(at, length | kTmr);
  put<std::uint8_t>(at + 8, function);
  put<std::uint32_t>(at + 12, static_cast<std::uint32_t>(tickets.size()));
  for (std::size_t i = 0; i < tickets.size(); ++i) put<std::uint16_t>(at + 32 + i * 2, ids_.at(tickets[i]));
  head_ = (head_ + length) % options_.ring_bytes;
  store_release(object_at<std::uint32_t>(memory_, 12), head_);
}

void FakeKernel::finish(std::uint16_t id, std::uint8_t uflags, std::span<const std::byte> response) {
  auto it = running_.find(id);
  if (it == running_.end()) {
    if (fault_.empty()) fault_ = "cmd_id " + std::to_string(id) + " not found, ring is broken";
    return;
  }
  const Running& command = it->second;
  Finished result;
  result.status = static_cast<std::uint8_t>(response[0]);
  std::memcpy(result.sense.data(), response.data() + 8, result.sense.size());
  std::uint32_t read_len = 0;
  std::memcpy(&read_len, response.data() + 4, sizeof read_len);
  std::size_t give = command.direction == Data::In ? command.bytes : 0;
  if ((uflags & 0x2) != 0 && read_len > 0) {
    result.read_len = read_len;
    give = std::min<std::size_t>(give, read_len);
  }
  for (std::uint32_t block : command.blocks) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(memory_.data()) + kRingAt + options_.ring_bytes +
                       std::size_t{block} * kBlock;
    const std::size_t part = std::min<std::size_t>(give - result.data.size(), kBlock);
    result.data.insert(result.data.end(), from, from + part);
    free_blocks_.insert(block);
  }
  finished_[command.ticket] = std::move(result);
  running_.erase(it);
}

void FakeKernel::walk() {
  const std::uint32_t tail = load_acquire(object_at<std::uint32_t>(memory_, 64));
  while (cleaned_ != tail && fault_.empty()) {
    const std::size_t at = kRingAt + cleaned_;
    const auto len_op = get<std::uint32_t>(at);
    const std::uint32_t length = len_op & ~7u;
    if (length == 0) {
      fault_ = "entry of length 0: the kernel would spin for ever";
      return;
    }
    if ((len_op & 7u) == kCmd)
      finish(get<std::uint16_t>(at + 4), get<std::uint8_t>(at + 7), memory_.subspan(at + 8, 104));
    cleaned_ = (cleaned_ + length) % options_.ring_bytes;
  }
}

void FakeKernel::kick() {
  {
    std::lock_guard guard(lock_);
    walk();
  }
  changed_.notify_all();
}

void FakeKernel::reset() {
  std::lock_guard guard(lock_);
  for (auto& [id, command] : running_) {
    Finished busy;
    busy.status = 0x08;
    finished_[command.ticket] = std::move(busy);
    free_blocks_.insert(command.blocks.begin(), command.blocks.end());
  }
  running_.clear();
  head_ = cleaned_ = 0;
  store_release(object_at<std::uint32_t>(memory_, 12), 0);
  store_release(object_at<std::uint32_t>(memory_, 64), 0);
  changed_.notify_all();
}

std::optional<FakeKernel::Finished> FakeKernel::finished(std::uint64_t ticket) {
  std::lock_guard guard(lock_);
  auto it = finished_.find(ticket);
  if (it == finished_.end()) return std::nullopt;
  return it->second;
}

std::optional<FakeKernel::Finished> FakeKernel::wait(std::uint64_t ticket) {
  std::unique_lock guard(lock_);
  const bool done =
      changed_.wait_for(guard, std::chrono::seconds(20), [&] { return finished_.contains(ticket); });
  if (!done) return std::nullopt;
  return finished_[ticket];
}

std::map<std::uint64_t, FakeKernel::Finished> FakeKernel::take_finished() {
  std::lock_guard guard(lock_);
  std::map<std::uint64_t, Finished> taken;
  taken.swap(finished_);
  for (const auto& [ticket, result] : taken) ids_.erase(ticket);
  return taken;
}

std::size_t FakeKernel::running() {
  std::lock_guard guard(lock_);
  return running_.size();
}
std::string FakeKernel::fault() {
  std::lock_guard guard(lock_);
  return fault_;
}
std::uint32_t FakeKernel::tail() {
  return load_acquire(object_at<std::uint32_t>(memory_, 64));
}
std::uint32_t FakeKernel::head() {
  std::lock_guard guard(lock_);
  return head_;
}

}  // namespace bulkhead::supervisor::testing
