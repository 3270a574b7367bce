#include "supervisor/pump/testing/fake_host.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/shared_memory.h"

namespace bulkhead::supervisor::testing {
namespace {

Mapping map_all(const UniqueFd& fd, Mapping::Access access) {
  struct stat status{};
  ::fstat(fd.get(), &status);
  return Mapping::map(fd, static_cast<std::size_t>(status.st_size), access, "test channel").value();
}

}  // namespace

FakeHost::FakeHost(HostEnds ends)
    : ends_(std::move(ends)),
      requests_(map_all(ends_.requests, Mapping::Access::Read)),
      completions_(map_all(ends_.completions, Mapping::Access::ReadWrite)),
      data_(map_all(ends_.data, Mapping::Access::ReadWrite)),
      sleep_(object_at<channel::CompletionsHeader>(completions_.bytes(), 0).host_sleep),
      ring_supervisor_(object_at<channel::RequestsHeader>(requests_.bytes(), 0).supervisor_sleep,
                       std::move(ends_.supervisor_doorbell)),
      slots_(object_at<channel::RequestsHeader>(requests_.bytes(), 0).slots) {}

std::optional<std::uint32_t> FakeHost::next() {
  auto& header = object_at<channel::RequestsHeader>(requests_.bytes(), 0);
  if (load_acquire(header.submit_head) == taken_) return std::nullopt;
  const std::uint32_t entry = taken_++ & (slots_ - 1);
  return object_at<std::uint32_t>(requests_.bytes(), header.submit_offset + entry * sizeof(std::uint32_t));
}

bool FakeHost::wait(int ms) {
  auto& header = object_at<channel::RequestsHeader>(requests_.bytes(), 0);
  sleep_.prepare_sleep();
  if (load_acquire(header.submit_head) != taken_) {
    sleep_.wake();
    return true;
  }
  pollfd event{.fd = ends_.doorbell.get(), .events = POLLIN, .revents = 0};
  const bool rung = ::poll(&event, 1, ms) == 1;
  if (rung) drain_doorbell(ends_.doorbell);
  sleep_.wake();
  return rung;
}

const channel::Slot& FakeHost::slot(std::uint32_t index) const {
  return object_at<channel::Slot>(requests_.bytes(),
                                  sizeof(channel::RequestsHeader) + index * sizeof(channel::Slot));
}

std::span<std::byte> FakeHost::buffer(std::uint32_t index) const {
  return data_.bytes().subspan(slot(index).data_offset, slot(index).data_bytes);
}

channel::CompletionEntry FakeHost::honest(std::uint32_t index) const {
  return {.slot = index, .generation = slot(index).generation};
}

void FakeHost::answer(std::uint32_t index, std::uint8_t status, std::uint32_t data_bytes) {
  channel::CompletionEntry entry = honest(index);
  entry.scsi_status = status;
  entry.data_bytes = data_bytes;
  if (status == 2) {
    entry.sense_bytes = 18;
    entry.sense[0] = 0x70;
    entry.sense[2] = 0x03;
  }
  answer_raw(entry);
}

void FakeHost::answer_raw(const channel::CompletionEntry& entry) {
  const std::uint32_t at = completed_++ & (slots_ - 1);
  store_shared(
      object_at<channel::CompletionEntry>(
          completions_.bytes(), sizeof(channel::CompletionsHeader) + at * sizeof(channel::CompletionEntry)),
      entry);
  set_completion_head(completed_);
}

void FakeHost::set_completion_head(std::uint32_t head) {
  store_release(object_at<channel::CompletionsHeader>(completions_.bytes(), 0).completion_head, head);
  ring_supervisor_.ring_if_asleep();
}

void FakeHost::set_grant(std::uint32_t word) {
  store_release(object_at<channel::CompletionsHeader>(completions_.bytes(), 0).grant, word);
}

std::uint32_t FakeHost::granted_writes() const {
  return load_acquire(object_at<channel::RequestsHeader>(requests_.bytes(), 0).granted_writes);
}

bool FakeHost::requests_are_read_only() const {
  void* at = ::mmap(nullptr, channel::kPage, PROT_READ | PROT_WRITE, MAP_SHARED, ends_.requests.get(), 0);
  if (at == MAP_FAILED) return true;
  ::munmap(at, channel::kPage);
  return false;
}

}  // namespace bulkhead::supervisor::testing
