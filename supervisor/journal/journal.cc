#include "supervisor/journal/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/shared_memory.h"
#include "supervisor/journal/persist.h"

namespace bulkhead::supervisor {
namespace {

constexpr std::uint32_t kNoRecord = 2;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;
constexpr std::uint32_t kMaxPages = (1u << 30) / channel::kPage;

// Offsets of the parts, in the order of journal_abi.h.
struct Layout {
  Layout(std::uint32_t slots, std::uint32_t pages)
      : commands(sizeof(JournalHeader) + sizeof(JournalCursors)),
        segments(commands + slots * sizeof(InFlightCommand)),
        stats(up_to_line(segments + pages * sizeof(KernelSegment))),
        records(stats + kStatsBytes),
        end(channel::round_to_page(records + kRecordBytes)) {}
  static std::size_t up_to_line(std::size_t at) {
    return (at + channel::kCacheLine - 1) / channel::kCacheLine * channel::kCacheLine;
  }
  std::size_t commands, segments, stats, records, end;
};

bool possible(std::uint32_t slots, std::uint32_t pages) {
  return slots != 0 && slots <= channel::kMaxSlots && pages != 0 && pages <= kMaxPages;
}

}  // namespace

Journal::Journal(UniqueFd fd, Mapping memory, std::uint32_t slots, std::uint32_t pages, bool adopted)
    : fd_(std::move(fd)), memory_(std::move(memory)), slots_(slots), pages_(pages), adopted_(adopted) {}

Result<std::shared_ptr<Journal>> Journal::create(std::uint32_t slots, std::uint32_t pages) {
  if (!possible(slots, pages))
    return fail(Cause::BadInput, EINVAL,
                fmt::format("a journal for {} commands of {} pages is not possible", slots, pages));
  const std::size_t bytes = Layout(slots, pages).end;
  auto fd = make_sealed_memfd("tcmu-journal", bytes);
  if (!fd) return std::unexpected(std::move(fd.error()));
  auto memory = Mapping::map(*fd, bytes, Mapping::Access::ReadWrite, "journal");
  if (!memory) return std::unexpected(std::move(memory.error()));
  std::shared_ptr<Journal> journal(new Journal(std::move(*fd), std::move(*memory), slots, pages, false));
  journal->header() = JournalHeader{.magic = kJournalMagic,
                                    .version = kJournalVersion,
                                    .slots = slots,
                                    .pages = pages,
                                    .active_record = kNoRecord,
                                    .pad = {}};
  return journal;
}

Result<std::shared_ptr<Journal>> Journal::adopt(UniqueFd fd) {
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, "look at a kept journal");
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  if (seals < 0 || (seals & kSeals) != kSeals || bytes < sizeof(JournalHeader))
    return fail(Cause::BadInput, EINVAL, "what was kept as a journal is none");
  auto memory = Mapping::map(fd, bytes, Mapping::Access::ReadWrite, "journal");
  if (!memory) return std::unexpected(std::move(memory.error()));
  const auto header = object_at<JournalHeader>(memory->bytes(), 0);
  if (header.magic != kJournalMagic || header.version != kJournalVersion)
    return fail(Cause::BadInput, EPROTONOSUPPORT,
                fmt::format("the journal has version {}, this supervisor reads {}",
                            header.magic == kJournalMagic ? header.version : 0, kJournalVersion));
  if (!possible(header.slots, header.pages) || Layout(header.slots, header.pages).end != bytes ||
      header.active_record > kNoRecord)
    return fail(Cause::BadInput, EPROTO, "the journal's header makes no sense");
  return std::shared_ptr<Journal>(
      new Journal(std::move(fd), std::move(*memory), header.slots, header.pages, true));
}

JournalHeader& Journal::header() const {
  return object_at<JournalHeader>(memory_.bytes(), 0);
}

JournalCursors& Journal::cursors() const {
  return object_at<JournalCursors>(memory_.bytes(), sizeof(JournalHeader));
}

std::span<InFlightCommand> Journal::commands() const {
  return {&object_at<InFlightCommand>(memory_.bytes(), Layout(slots_, pages_).commands), slots_};
}

std::span<KernelSegment> Journal::segments() const {
  return {&object_at<KernelSegment>(memory_.bytes(), Layout(slots_, pages_).segments), pages_};
}

std::span<std::byte> Journal::stats() const {
  return memory_.bytes().subspan(Layout(slots_, pages_).stats, kStatsBytes);
}

std::span<std::byte> Journal::record_memory(std::uint32_t which) const {
  return memory_.bytes().subspan(Layout(slots_, pages_).records + which * (kRecordBytes / 2),
                                 kRecordBytes / 2);
}

Result<> Journal::store_record(std::string_view record) {
  if (record.size() > kMaxRecord)
    return fail(Cause::BadInput, E2BIG, fmt::format("a record of {} bytes", record.size()));
  const std::uint32_t spare = header().active_record == 0 ? 1 : 0;
  const auto memory = record_memory(spare);
  persist(object_at<std::uint32_t>(memory, 0), static_cast<std::uint32_t>(record.size()));
  persist_bytes(memory.subspan(sizeof(std::uint32_t)), std::as_bytes(std::span(record)));
  persist(header().active_record, spare);
  return {};
}

std::string Journal::record() const {
  if (header().active_record >= kNoRecord) return {};
  const auto memory = record_memory(header().active_record);
  const std::size_t bytes = std::min<std::size_t>(object_at<std::uint32_t>(memory, 0), kMaxRecord);
  return {reinterpret_cast<const char*>(memory.data()) + sizeof(std::uint32_t), bytes};
}

}  // namespace bulkhead::supervisor
