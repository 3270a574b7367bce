// Any memory as a dead supervisor's journal: it is refused, or all of its parts lie within it, and its record
// is read as one.
//
// Input: a byte that says what it is laid over (nothing, or a good journal from some offset on), the bytes.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/mapping.h"
#include "proto/device_record.pb.h"
#include "supervisor/journal/journal.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::supervisor;

template <class T>
void touch(std::span<T> part) {
  for (const std::byte one : std::as_bytes(part)) {
    volatile std::byte seen = one;
    (void)seen;
  }
}

void look_at(UniqueFd fd) {
  auto journal = Journal::adopt(std::move(fd));
  if (!journal) return;
  BULKHEAD_CHECK((*journal)->adopted());
  touch(std::span(&(*journal)->cursors(), 1));
  touch((*journal)->commands());
  touch((*journal)->segments());
  touch((*journal)->stats());
  const std::string record = (*journal)->record();
  BULKHEAD_CHECK(record.size() <= Journal::kMaxRecord);
  DeviceRecord parsed;
  (void)parsed.ParseFromString(record);
  BULKHEAD_CHECK((*journal)->store_record("again") && (*journal)->record() == "again");
}

UniqueFd of_bytes(std::span<const std::uint8_t> bytes) {
  auto fd = make_sealed_memfd("fuzz", std::max<std::size_t>(bytes.size(), 1));
  if (!fd) return {};
  BULKHEAD_CHECK(::pwrite(fd->get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return std::move(*fd);
}

// The header, the cursors and first commands, or the record.
UniqueFd over_a_journal(std::uint8_t where, std::span<const std::uint8_t> bytes) {
  auto journal = Journal::create(8, 16);
  BULKHEAD_CHECK(journal && (*journal)->store_record("a record"));
  UniqueFd fd(::fcntl((*journal)->fd().get(), F_DUPFD_CLOEXEC, 0));
  const off_t end = ::lseek(fd.get(), 0, SEEK_END);
  const off_t at = where % 3 == 0 ? 0 : where % 3 == 1 ? 64 : end - static_cast<off_t>(kRecordBytes);
  const auto room = std::min(bytes.size(), static_cast<std::size_t>(end - at));
  BULKHEAD_CHECK(::pwrite(fd.get(), bytes.data(), room, at) == static_cast<ssize_t>(room));
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::uint8_t> bytes(data + 1, size - 1);
  look_at(data[0] % 4 == 3 ? of_bytes(bytes) : over_a_journal(data[0] % 4, bytes));
  return 0;
}
