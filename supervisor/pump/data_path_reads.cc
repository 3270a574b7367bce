// The part of the data path that reads past the page cache by a grant: see direct_reads.h. Such a command
// stays Waiting, for whoever comes next; that it is being read is known to this supervisor alone.
#include <utility>

#include "supervisor/pump/data_path.h"
#include "supervisor/pump/guarded_copy.h"
#include "supervisor/pump/monotonic.h"

namespace bulkhead::supervisor {

void DataPath::set_direct_reads(DirectReads* reads, DirectReads::Reader* reader) {
  for (auto i = table_.oldest(); i; i = table_.newer_than(*i))
    if (reading(*i)) leave_to_host(*i);
  reads_ = reads;
  reader_ = reader;
}

// A file system may have to look up where the blocks are, and would wait for that: only this device's own
// commands may have to wait with it.
bool DataPath::begin_read(SlotIndex index, const BlockTransfer& transfer) {
  InFlightCommand& command = table_.at(index);
  if (reads_ == nullptr || command.data_bytes > DirectReads::kLargestBytes) return false;
  if (shares_pump_ && !grant_.file().is_disk) return false;
  if (reads_of_[index.value] == kReadInVain || !grant_.try_read_now()) return false;
  const auto number = reads_->begin(*reader_, index, grant_.file().file, grant_.place_of(transfer),
                                    static_cast<std::uint32_t>(command.data_bytes));
  if (!number) return false;
  reads_of_[index.value] = *number;
  ++reading_;
  command.given_ns = now_ns_;
  return true;
}

void DataPath::read_done(SlotIndex index, std::span<const std::byte> data, bool whole) {
  BULKHEAD_CHECK(reading(index));
  now_ns_ = monotonic_ns();
  grant_.read_came(whole);
  if (!whole) return leave_to_host(index);
  reads_of_[index.value] = kNoRead;
  --reading_;
  if (ring_is_ours() && !fill_from(index, data)) return fail_command(index, kInternalTargetFailure);
  granted_read(index, table_.at(index).given_ns);
}

bool DataPath::fill_from(SlotIndex index, std::span<const std::byte> data) {
  for (const KernelSegment& segment : table_.segments_of(index)) {
    if (!guarded_copy(ring_.region().subspan(segment.offset, segment.bytes), data.first(segment.bytes)))
      return false;
    data = data.subspan(segment.bytes);
  }
  return true;
}

// What becomes of it does not matter any more.
void DataPath::forget_read(SlotIndex index) {
  if (reading(index)) {
    reads_->forget(reads_of_[index.value]);
    --reading_;
  }
  reads_of_[index.value] = kNoRead;
}

void DataPath::leave_to_host(SlotIndex index) {
  forget_read(index);
  reads_of_[index.value] = kReadInVain;
  stats_->grants_missed.add(1);
  if (!next_to_submit_ || table_.at(*next_to_submit_).sequence > table_.at(index).sequence)
    next_to_submit_ = index;
}

// When the next one will be late; 0: there is none.
std::uint64_t DataPath::end_late_reads() {
  std::uint64_t next = 0;
  if (reading_ == 0) return next;
  for (auto i = table_.oldest(); i; i = table_.newer_than(*i)) {
    if (!reading(*i)) continue;
    const std::uint64_t late = table_.at(*i).given_ns + limits_.read_late_ns;
    if (now_ns_ < late) {
      if (next == 0 || late < next) next = late;
      continue;
    }
    grant_.read_came(false);
    leave_to_host(*i);
  }
  return next;
}

}  // namespace bulkhead::supervisor
