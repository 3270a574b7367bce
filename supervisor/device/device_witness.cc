// Writes that were answered and lost with a host.
#include <utility>

#include "base/log.h"
#include "supervisor/broker/write_back_witness.h"
#include "supervisor/device/device.h"

namespace bulkhead::supervisor {

// What the kernel told a dead host in its last flush, nobody else will hear.
void Device::ask_witness() {
  const auto witness = std::exchange(witness_, nullptr);
  if (!witness || !write_back_failed(*witness)) return;
  writes_lost_ = true;
  save_record();
  constexpr const char* kText =
      "a write to the backing file failed while the handler-host was being ended; the next flush fails";
  auto fields = log_fields();
  fields.message_id = kMsgWritesLost;
  log(Level::Error, fields, kText);
  context_.observer.event(key_, "writes-lost", kText);
}

}  // namespace bulkhead::supervisor
